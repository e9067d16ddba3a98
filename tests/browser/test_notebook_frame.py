"""The live page in the frame of a notebook's cell: it runs its own script, and reaches nothing around it."""

import numpy as np
import pytest

import striate as st
from browser.conftest import DESK, PHONE

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_saved_cell_still_reacts(window, tmp_path, size):
    cell = st.view("lenet5", "course", interactive=True)._repr_html_()
    (tmp_path / "saved.html").write_text(f"<!DOCTYPE html><title>saved</title><body>{cell}", "utf-8")
    shown = window((tmp_path / "saved.html").as_uri(), size)
    page = shown.page.frame_locator("iframe")
    assert page.locator("[data-view=course] li").count() == 9
    page.get_by_role("link", name="Training").click()
    page.locator("[data-view=training] .missing").wait_for()
    assert "#" not in shown.page.url
    assert not shown.messages


def test_a_cell_computes_with_the_model(window, tmp_path):
    model = st.Model("8x8x1 -> conv 3x3 4 -> relu -> flatten -> fc 3", seed=5)
    cell = st.view(model, "activations?image=none", interactive=True)._repr_html_()
    (tmp_path / "saved.html").write_text(f"<!DOCTYPE html><title>saved</title><body>{cell}", "utf-8")
    shown = window((tmp_path / "saved.html").as_uri())
    rows = shown.page.frame_locator("iframe").locator("[data-probability]")
    rows.first.wait_for()
    ((*answer,),) = model.classify(np.zeros((1, 1, 8, 8), np.uint8), top=3)
    told = [float(row.get_attribute("data-probability")) for row in rows.all()]
    assert told == pytest.approx([share for _, share in sorted(answer)], abs=1e-5)
    assert not shown.messages
