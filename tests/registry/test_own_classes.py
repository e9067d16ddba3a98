"""Ops and rules of someone's own, defined late and defined again, as a notebook does. In a process of its own."""

import subprocess
import sys

from striate.op import registry

START = """
import dataclasses
from typing import ClassVar
import striate as st
from striate.checks import Rule
from striate.diagnostics import Severity
from striate.op import Op

def codes(text):
    return [finding.code for finding in st.check(st.parse(text)).findings if finding.code.startswith("Y")]

print(codes("8x8x3 -> identity"))
"""
OWN = """
@dataclasses.dataclass(frozen=True)
class Twice(Op):
    word: ClassVar[str] = "twice"

    def declare(self, *inputs):
        return dataclasses.replace(st.ops.Identity().declare(*inputs), op=self)

class Loud(Rule):
    code, severity, why, fix, source, bad, good = "Y001", Severity.INFO, "", "", "", "", ""

    def look(self, context):
        for _ in range({times}):
            yield self.finding(context, None, "loud")

print(codes("8x8x3 -> twice"), type(st.parse("8x8x3 -> twice").nodes[0].op) is Twice)
"""
CLASH = """
try:
    type("Other", (Op,), {"word": "conv"})
except TypeError as error:
    print(error)
"""


def test_late_and_again():
    script = START + OWN.format(times=1) + OWN.format(times=2) + CLASH
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "[]",
        "['Y001'] True",
        "['Y001', 'Y001'] True",
        "two ops claim the word 'conv'",
    ]


def test_all_ops_by_star():
    names = {}
    exec("from striate.ops import *", names)
    assert {op.__name__ for op in registry().values()} <= names.keys()
