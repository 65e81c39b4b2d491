"""The command pem-train."""
