"""The commands pem-run, pem-eval and pem-bench."""
