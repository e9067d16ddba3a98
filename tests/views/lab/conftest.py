import pytest

from lab_server import Served


@pytest.fixture(scope="module")
def served(tmp_path_factory, interruptible_module):
    """A `striate lab` without a model, in an empty folder."""
    running = Served(cwd=tmp_path_factory.mktemp("lab"))
    yield running
    running.end()


@pytest.fixture(scope="module")
def interruptible_module():
    import signal

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
