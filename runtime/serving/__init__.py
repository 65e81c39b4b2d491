"""Servers that show results over the network."""
