"""The sections of a report but for the backends: each module has its probes in ``PROBES``."""
