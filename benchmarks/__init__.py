"""Benchmarks of cnnart; see README.md. Run them from the repository: ``python -m benchmarks.X``."""
