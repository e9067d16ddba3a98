"""Kernels of these tests come to memory by Striate's own loader, not by LLVM's."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def loaded_without_llvm():
    from striate.engine.codegen import code

    yield
    assert code.unloadable == {}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache" / "code"))
    return tmp_path / "cache" / "code"


@pytest.fixture
def forgetful(monkeypatch, place):
    """A process that has loaded nothing yet."""
    from striate.engine.codegen import code

    monkeypatch.setattr(code, "_loaded", {})
    return place
