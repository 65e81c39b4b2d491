"""The commands pem-run, pem-eval, pem-bench, pem-data and pem-doctor."""
