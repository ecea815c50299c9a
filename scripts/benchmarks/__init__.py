"""Benchmarks. Each compares in one run, in interleaved rounds, and reports ratios: see docs/performance.md."""
