"""From a checkpoint to an artifact: trace, clean, prove, write."""
