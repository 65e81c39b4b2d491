"""The ``pem-train`` command."""
