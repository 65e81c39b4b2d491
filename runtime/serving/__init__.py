"""Results served to other programs and people over the network."""
