"""Generators of inputs that are looked through without end: one module per kind.

Each has `trial(seed: int) -> str | None`: it makes an input from the seed alone, tries it, and answers None where all
is right, else one line that says what was wrong. A trial is quick (up to about a second) and leaves nothing after. A
module may have `describe(seed: int) -> str`, what would be tried, and `NEEDS`, the packages without which it cannot
run. Heavy imports belong inside `trial`. The tests run some seeds of each kind; `bench/soak.py` runs all for minutes.
"""
