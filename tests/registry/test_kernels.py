"""Kernel templates, one per file of engine/kernels/: each is used by a plan, and each name that is used is a file."""

import re

from registry.test_layout import ROOT

ENGINE = ROOT / "src" / "striate" / "engine"
USE = re.compile(r'\bKernel\(\s*"(\w+)"')


def test_every_template_is_used():
    templates = {
        path.stem for path in (ENGINE / "kernels").glob("*.py") if "\ndef emit(" in path.read_text("utf-8")
    }
    used = {
        name
        for path in ENGINE.rglob("*.py")
        if path.parent.name != "kernels"
        for name in USE.findall(path.read_text("utf-8"))
    }
    assert len(templates) > 25
    assert templates == used
