"""Shared by all tests: one stable environment, golden texts, and groups that need more than the base install.

A test that needs something optional carries its group's marker and imports it inside the test:

    @pytest.mark.torch                          # PyTorch
    @pytest.mark.torch("torchvision", "timm")   # and these packages
    @pytest.mark.onnx("torch")
    @pytest.mark.keras                          # h5py; with "keras", "torch" Keras itself
    @pytest.mark.browser                        # a headless Chromium

Without it the test is skipped with the reason. Where STRIATE_REQUIRE_ALL is set (CI), a skip is a failure.
"""

import importlib
import importlib.util
import os
import shutil
import signal
import sys
from pathlib import Path

import hypothesis
import pytest

# What is printed must not depend on the terminal that runs the tests; child processes inherit it.
os.environ.update(COLUMNS="80", LINES="24", NO_COLOR="1", TERM="dumb", PYTHONIOENCODING="utf-8")
for _name in ("FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
    os.environ.pop(_name, None)

# Whatever a compiled program reads without having written it in the same run is NaN, and every small plan is proven.
os.environ.setdefault("STRIATE_SPOIL", "1")
os.environ.setdefault("STRIATE_VERIFY", "small")

# One of several workers computes with its part of the processors: libraries that each take all wait for one another.
SHARE = 0
if _workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    SHARE = max((os.cpu_count() or 1) // _workers, 1)
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(_name, str(SHARE))

REQUIRE_ALL = bool(os.environ.get("STRIATE_REQUIRE_ALL"))
GOLDEN = Path(__file__).parent / "golden"

# The same examples in every run: a red test names a change, not luck.
# `--hypothesis-profile=explore` looks further.
_SLOW = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large]
hypothesis.settings.register_profile(
    "fixed", derandomize=True, deadline=None, max_examples=50, suppress_health_check=_SLOW
)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=2000, suppress_health_check=_SLOW)
hypothesis.settings.load_profile("fixed")


@pytest.fixture(autouse=True, scope="session")
def kernels_are_compiled_by_a_share():
    """Also kernels: with one processor, here, where LLVM has been loaded, not in two child processes at a time."""
    from striate.engine.codegen import compiling

    with pytest.MonkeyPatch.context() as patch:
        if SHARE:
            patch.setattr(compiling, "available", lambda: SHARE)
        yield


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the expected texts in tests/golden"
    )


def pytest_collection_modifyitems(config, items):
    """With --update-golden, run only the tests that have an expected text."""
    if config.getoption("--update-golden"):
        rest = [item for item in items if "golden" not in item.fixturenames]
        config.hook.pytest_deselected(items=rest)
        items[:] = [item for item in items if "golden" in item.fixturenames]


# ---------------------------------------------------------------- groups that need more than the base install
WEB_PACKAGES = Path(__file__).parents[1] / "web" / "node_modules"
PACKAGES_OF = {
    "torch": ["torch"],
    "onnx": ["onnx"],
    "keras": ["h5py"],
    "draw": ["resvg_py", "reportlab"],
    "browser": ["playwright"],
    "lab": ["starlette", "uvicorn"],
    "latex": [],
    "node": [],
    "npm": [],
}


def chromium() -> str | None:
    """The path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def pytest_runtest_setup(item):
    """Skip a test whose group is not installed, and say what is missing."""
    for mark in item.iter_markers():
        if mark.name not in PACKAGES_OF:
            continue
        packages = [*PACKAGES_OF[mark.name], *mark.args]
        missing = [package for package in packages if importlib.util.find_spec(package) is None]
        if mark.name == "browser" and chromium() is None:
            missing.append("chromium")
        if mark.name == "latex" and shutil.which("pdflatex") is None:
            missing.append("pdflatex")
        if mark.name in ("node", "npm") and shutil.which("node") is None:
            missing.append("node")
        if mark.name == "npm" and not WEB_PACKAGES.is_dir():
            missing.append("the packages of web/package-lock.json (npm ci --prefix web)")
        if missing:
            pytest.skip(f"group {mark.name}: not installed: {', '.join(missing)}")


def _refuse_skip(report):
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"STRIATE_REQUIRE_ALL allows no skips: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Where everything is required, a skipped test fails."""
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    """Where everything is required, a skipped module fails."""
    return _refuse_skip((yield))


# ---------------------------------------------------------------- Ctrl-C
@pytest.fixture
def interruptible():
    """Ctrl-C and the end of a terminal have their usual meaning, here and in the child processes of the test: a shell
    starts what runs in the background with the one ignored, nohup with the other, and children inherit that."""
    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler)}
    if hasattr(signal, "SIGHUP"):
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


# ---------------------------------------------------------------- golden texts
@pytest.fixture
def golden(request):
    """golden(name, text): `text` must equal tests/golden/<name>; spaces at line ends do not count."""
    update = request.config.getoption("--update-golden")

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        text = "".join(line.rstrip() + "\n" for line in text.rstrip().splitlines())
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists():
            pytest.fail(
                f"tests/golden/{name} does not exist: run `make golden`, read it, commit it", pytrace=False
            )
        else:
            assert text == path.read_text(encoding="utf-8"), (
                f"tests/golden/{name}: if meant, run `make golden`"
            )

    return compare


@pytest.fixture
def bench(monkeypatch):
    """bench/support, importable as its scripts see it."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "bench"))
    yield lambda name: importlib.import_module(f"support.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "support"]:
        del sys.modules[name]
