"""Nothing in numbers.json is skipped silently."""

import importlib
from pathlib import Path

from oracles import numbers

HERE = Path(__file__)


def test_every_row_is_tested_somewhere():
    for module in sorted(HERE.parent.glob("test_numbers_*.py")):
        if module != HERE:
            importlib.import_module(f"oracles.{module.stem}")
    assert numbers.left() == []


def test_a_row_that_nobody_takes_is_noticed(monkeypatch):
    monkeypatch.setattr(numbers, "taken", numbers.taken - {("ceil_mode", "rows")})
    assert numbers.left() == ["ceil_mode/rows"]
