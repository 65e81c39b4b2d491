"""The report of the check: JSON and a page."""
