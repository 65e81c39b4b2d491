"""Single measurements that a benchmark consists of."""
