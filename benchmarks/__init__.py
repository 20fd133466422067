"""Benchmarks: `make bench` against other programs on large scenes, and stand-alone scripts; see README.md here."""
