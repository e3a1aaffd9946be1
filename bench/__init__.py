"""Benchmarks: what ownerd adds on top of what nobody can avoid. Begin with ``bench/main.py``; docs/BENCH.md reads the figures."""
