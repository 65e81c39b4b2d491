"""The command pem-export."""
