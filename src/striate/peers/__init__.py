"""Comparison with other engines: each runs a Striate network at its best settings, and is timed.

Every tool runs in a separate process (`worker.py`), controlled over a pipe (`contest.py`). Only the benchmark imports
this package, and no tool is required.
"""
