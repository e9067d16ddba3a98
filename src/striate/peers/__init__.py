"""Other engines besides Striate's: how each is given a Striate network at its best settings, and how they are timed.

Every tool runs in a process of its own (`worker.py`), asked over a pipe (`contest.py`); nothing here is imported by
the rest of Striate but the benchmark, and no tool is ever needed.
"""
