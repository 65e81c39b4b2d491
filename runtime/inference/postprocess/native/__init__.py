"""The assignment for pixels in C: its sources, how they are compiled, and the library made from them."""
