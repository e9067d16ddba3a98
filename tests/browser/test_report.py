"""The page of a report in a browser: nothing that it asks for is refused, and it never scrolls sideways."""

import json
import re
import subprocess

import pytest

from cli.run import run
from conftest import chromium
from views.html.test_run_part import train

pytestmark = pytest.mark.browser

PROBE = """<!DOCTYPE html><title>-</title><body style="margin: 0">
<iframe src="page.html" style="width: {width}px; height: 900px; border: 0"></iframe>
<script>
addEventListener("load", () => {{
  const inner = document.querySelector("iframe").contentDocument
  const texts = [...inner.querySelectorAll("h1, h2, svg text")].map(e => e.getBoundingClientRect().height)
  document.title = JSON.stringify({{
    images: [...inner.images].filter(image => image.naturalWidth === 0).length,
    wide: inner.documentElement.scrollWidth, texts: texts.length, empty: texts.filter(high => high === 0).length,
    ink: inner.defaultView.getComputedStyle(inner.body).color,
  }})
}})
</script>"""


def browse(folder, page, *options):
    """What a headless browser prints of a page, and what it complains about."""
    done = subprocess.run(
        [
            chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
            "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--virtual-time-budget=5000", "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}",
            *options, "--dump-dom", (folder / page).as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, console


@pytest.mark.parametrize(
    "model", ["lenet5", "googlenet", "12x12x3 -> conv 3x3 4 -> deep: conv 13x13 -> relu", "a run"]
)
@pytest.mark.parametrize("width", [320, 1200])
def test_a_page_fits_its_window_and_keeps_its_policy(model, width, tmp_path):
    if model == "a run":
        train(tmp_path)
        model = str(tmp_path / "run")
    assert run("report", model, "-o", str(tmp_path / "page.html")).code == 0
    (tmp_path / "probe.html").write_text(PROBE.format(width=width), "utf-8")
    shown, console = browse(tmp_path, "probe.html")
    measured = json.loads(re.search(r"<title>(.*?)</title>", shown)[1])
    assert measured["wide"] <= width
    assert measured["texts"] > 20 and not measured["empty"]
    assert not measured["images"]  # none that is not shown
    assert measured["ink"] == "rgb(27, 32, 39)"
    assert not console


def test_a_policy_that_is_broken_is_told(tmp_path):
    """The console would say so: this page asks for what its policy refuses."""
    assert run("report", "lenet5", "-o", str(tmp_path / "page.html")).code == 0
    text = (tmp_path / "page.html").read_text("utf-8")
    (tmp_path / "page.html").write_text(text.replace("</body>", "<img src='x.png' alt=''></body>"), "utf-8")
    assert browse(tmp_path, "page.html")[1]
