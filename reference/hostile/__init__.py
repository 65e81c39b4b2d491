"""Checkpoints made to crash, run code or fill the memory when they are loaded without care."""
