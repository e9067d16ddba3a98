"""Every view in the page of `striate lab`: of what is typed, of a model that is opened, of a run that trains."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

import striate
from browser.conftest import PHONE
from browser.lab_page import STRIDE, settled
from lab_server import Served

pytestmark = [pytest.mark.browser, pytest.mark.lab]

TRAIN = """
import sys, time
import numpy as np
import striate as st
x, y = np.random.default_rng(0).random((24, 1, 8, 8), np.float32), np.arange(24) % 2
model = st.Model("8x8x1 -> conv 3x3 2 -> relu -> gap -> flatten -> fc 2", seed=0)
model.fit(x, y, epochs=100000, batch_size=8, verbose=0, validation=(x, y), out=sys.argv[1],
          callbacks=[lambda event: time.sleep(0.02)])
"""


def views(page):
    links = page.locator("nav.views a")
    links.first.wait_for()
    return [link.text_content() for link in links.all()]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_each_view_shows_what_is_typed(lab, dark):
    shown = lab(dark=dark)
    page = shown.page
    page.locator("#lab-text").fill("9x9x1 -> conv 3x3 2 -> relu -> maxpool 2 -> flatten -> fc 3")
    settled(page, "warning|remark")
    page.wait_for_timeout(500)  # pictures and maps follow the check
    for title in views(page):
        page.locator("nav.views a", has_text=re.compile(f"^{title}$")).click()
        page.locator("[data-view]").wait_for()
        page.wait_for_timeout(150)
        assert page.locator("[data-view]").get_attribute("aria-label") == title
        assert not shown.violations(), title
        assert not shown.messages, title
    assert page.locator("#lab-text").input_value().startswith("9x9x1")


def test_each_view_fits_a_phone(lab):
    shown = lab(size=PHONE, has_touch=True, is_mobile=True)
    page = shown.page
    for title in views(page):
        page.locator("nav.views a", has_text=re.compile(f"^{title}$")).tap()
        page.locator("[data-view]").wait_for()
        page.wait_for_timeout(150)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], title
    assert not shown.messages


def test_the_picture_follows_the_text(lab):
    page = lab("#network").page
    page.locator("#lab-text").fill(STRIDE)
    settled(page, "1 error")
    page.locator("[data-view=network] svg", has_text="2 x 2 x 1").first.wait_for()
    page.get_by_role("button", name="stride 1 (-> 5x5)").click()
    page.locator("[data-view=network] svg", has_text="5 x 5 x 1").first.wait_for()


DROP = """() => {
  const canvas = document.createElement("canvas")
  canvas.width = canvas.height = 8
  return new Promise((done) => canvas.toBlob((blob) => {
    const files = new DataTransfer()
    files.items.add(new File([blob], "drawn.png", { type: "image/png" }))
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }))
    done()
  }))
}"""


def test_an_image_that_is_dropped_goes_through_the_network(lab):
    shown = lab("#course")
    page = shown.page
    page.evaluate(DROP)
    page.locator("[data-view=activations]").wait_for()
    page.locator("[data-view=activations] canvas").first.wait_for()
    assert not shown.messages


def test_a_run_is_watched_while_it_trains_and_after_it_was_killed(tmp_path, window):
    with subprocess.Popen([sys.executable, "-c", TRAIN, tmp_path / "live"]) as process:
        served = None
        try:
            deadline = time.monotonic() + 60
            while not (tmp_path / "live" / "model.safetensors").exists():
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.05)
            served = Served("live", cwd=tmp_path)
            shown = window(f"{served.link}#training", offline=False)
            page = shown.page
            state = page.locator("[data-view=training] .state")
            state.wait_for()
            first = state.text_content()
            for _ in range(40):
                page.wait_for_timeout(250)
                if state.text_content() != first:
                    break
            assert state.text_content() != first
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            page.wait_for_timeout(1500)
            assert "unfinished" in state.text_content()
            assert not shown.violations()
            assert not shown.messages
        finally:
            process.kill()
            if served:
                served.end()


def test_runs_of_the_folder_are_opened_and_compared(tmp_path, window):
    for name in ("first", "second"):
        model = striate.Model("8x8x1 -> flatten -> fc 10")
        model.fit("digits", epochs=2, out=tmp_path / "runs" / name, verbose=False)
    served = Served(cwd=tmp_path)
    try:
        shown = window(f"{served.link}#training", offline=False)
        page = shown.page
        page.get_by_role("button", name="runs/first").click()
        page.locator("[data-view=training] .state", has_text="2 epochs, done").wait_for()
        page.get_by_label("runs/second").check()
        page.locator(".chart text", has_text="runs/second").first.wait_for()
        page.wait_for_function("location.hash.includes('with=')")
        assert not shown.violations()
        assert not shown.messages
    finally:
        served.end()
