"""`striate lab` without its extra: what to install."""

import importlib.util
import sys

import pytest

from cli.run import run


@pytest.mark.parametrize("name", ["starlette", "uvicorn"])
def test_without_the_extra_the_command_that_installs_it_is_told(name, monkeypatch):
    for module in [
        one for one in sys.modules if one.partition(".")[0] == name or one.startswith("striate.views.lab")
    ]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    failed = run("lab", "--no-browser")
    assert failed.code == 2
    assert "I007" in failed.err and "[lab]'" in failed.err
    missing = [
        one for one in ("starlette", "uvicorn") if one == name or importlib.util.find_spec(one) is None
    ]
    assert any(one in failed.err for one in missing)
