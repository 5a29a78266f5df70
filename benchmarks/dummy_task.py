"""A script that ends at once, for benchmarks/scheduler.py."""
