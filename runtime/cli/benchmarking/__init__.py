"""The options of ``pem-bench``, and the requests that they make."""
