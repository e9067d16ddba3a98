"""Kernels of these tests come to memory by Striate's own loader, not by LLVM's."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def loaded_without_llvm():
    from striate.engine import code

    yield
    assert code.unloadable == {}
