"""Benchmarks against other tools: each runs a Striate network at its best settings, and all are timed together.

Every tool runs in a separate process (`worker.py`), controlled over a pipe (`contest.py`). Only `striate bench` and the
scripts in `bench/` import this package, and no tool is required.
"""
