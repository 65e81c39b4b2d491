"""Deals with what comes from outside: files that others made, text that others wrote, libraries that call home."""
