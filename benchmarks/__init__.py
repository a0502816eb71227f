"""Benchmarks: ratios against the honest baseline, measured in one run. ``python -m benchmarks
[--quick]`` runs them all."""
