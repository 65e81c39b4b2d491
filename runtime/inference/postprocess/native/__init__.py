"""The pixel assignment in C: its sources, their compilation, and the loading of the compiled library."""
