"""The limits of an artifact on this machine: what its nodes must compute and move, at the best rates measured here."""
