"""Where the check runs: on a GPU, or on the CPU with stand-ins."""
