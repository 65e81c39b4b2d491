"""The parts of ``pem-run``: its options, what it prints, and what it says at the end."""
