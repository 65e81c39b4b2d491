"""Facts about the machine that this process runs on."""

from pem_edge.runtime.machine.threads import usable_cpus

__all__ = ["usable_cpus"]
