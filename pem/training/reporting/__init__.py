"""What a run tells of itself: lines, tables, pictures and a page."""
