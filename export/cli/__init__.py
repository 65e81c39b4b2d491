"""The command line of ``pem-export``: its parser, its requests, and what it prints."""
