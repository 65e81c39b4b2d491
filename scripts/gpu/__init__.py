"""The check of everything that needs a GPU."""
