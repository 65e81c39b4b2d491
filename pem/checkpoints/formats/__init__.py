"""The files that weights come in; none of them can run code."""
