"""A saved page in Chromium, offline: how soon it stands there, and whether scrolling through it ever stalls."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LONG = 50.0
"""Milliseconds from which a task is a long one (W3C Long Tasks)."""
ROUNDS = 5
OPENING_S = 3.0
"""Seconds of one opening, with the wheel turned through the page."""
WHEEL = 40
"""Turns of the wheel through a page."""
WATCH = """
window.longTasks = []
new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((task) => task.duration)))
  .observe({type: "longtask", buffered: true})
"""
OPENED = """() => {
  const [page] = performance.getEntriesByType("navigation")
  const [paint] = performance.getEntriesByName("first-contentful-paint")
  return {loaded: page.loadEventEnd, paint: paint ? paint.startTime : null}
}"""


def missing() -> str:
    """Why pages cannot be opened here; empty if they can."""
    if importlib.util.find_spec("playwright") is None:
        return "Playwright is not installed"
    return "" if _chromium() else "there is no Chromium"


def _chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def measured(pages: dict[str, str], rounds: int = ROUNDS) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and what was measured, page after page. pages: name to the address of a file.

    loaded, paint: milliseconds until the load event has ended and until something is seen, medians; opening, scrolling:
    the longest task of each in any round, 0 below 50 ms; refused: requests that the page made, all of which fail.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        for name, address in pages.items():
            yield name, _medians([_opened(browser, address) for _ in range(rounds)])
        browser.close()


def _opened(browser: Any, address: str) -> dict[str, Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    context.add_init_script(WATCH)
    page = context.new_page()
    refused: list[str] = []
    page.on("requestfailed", lambda request: refused.append(request.url))
    page.goto(address)
    page.wait_for_timeout(400)
    times = page.evaluate(OPENED)
    opening = page.evaluate("window.longTasks.splice(0)")
    page.mouse.move(640, 450)
    for step in range(2 * WHEEL):
        page.mouse.wheel(0, 400 if step < WHEEL else -400)
        page.wait_for_timeout(16)
    scrolling = page.evaluate("window.longTasks")
    context.close()
    return {
        **times,
        "opening": max(opening, default=0),
        "scrolling": max(scrolling, default=0),
        "refused": refused,
    }


def _medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "loaded": statistics.median(one["loaded"] for one in rounds),
        "paint": statistics.median(one["paint"] or 0 for one in rounds),
        "opening": max(one["opening"] for one in rounds),
        "scrolling": max(one["scrolling"] for one in rounds),
        "refused": rounds[0]["refused"],
    }


def reports(folder: Path) -> dict[str, str]:
    """Pages of Striate: the report of ResNet-50 and its views, and a network of 1,000 nodes."""
    import striate
    from striate.checks import check
    from striate.views.html.document import document
    from striate.views.html.network_part import network_part

    def written(name: str, net: Any) -> str:
        path = folder / f"{name}.html"
        path.write_text(document(network_part(net, check(net).findings)), "utf-8")
        return path.as_uri()

    resnet = written("resnet50", striate.create("resnet50"))
    many = written("many", striate.parse("16x16x4 -> " + " -> ".join(["conv 3x3 4 pad 1", "relu"] * 500)))
    views = ("network", "network?kind=graph&node=layer1.1.conv2&pixel=99,99", "pixels", "compare", "history")
    return {
        "resnet50": resnet,
        **{f"resnet50 #{view}": f"{resnet}#{view}" for view in views},
        "1,000 nodes": many,
        "1,000 nodes #network": f"{many}#network",
    }


def torchvista(folder: Path) -> tuple[str, str]:
    """The address of torchvista's page of ResNet-50, and why there is none."""
    packages = ("torch", "torchvision", "torchvista")
    lacking = [name for name in packages if importlib.util.find_spec(name) is None]
    if lacking:
        return "", f"{', '.join(lacking)} is not installed"
    path = folder / "torchvista.html"
    try:
        import torch
        import torchvision
        from torchvista import trace_model
    except Exception as error:  # a build of torchvision that does not fit that of torch raises RuntimeError
        return "", f"it does not import ({error})"
    with contextlib.redirect_stdout(io.StringIO()):
        trace_model(torchvision.models.resnet50(weights=None).eval(), torch.zeros(1, 3, 224, 224),
                    export_format="html", export_path=str(path))  # fmt: skip
    return (path.as_uri(), "") if path.exists() else ("", "it wrote no page")


def told(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(folder: Path, say: Callable[[str], None] = print) -> None:
    """Measure everything and print it."""
    if why := missing():
        say(f"opening pages: left out, {why}")
        return
    told("writing the pages")
    pages = reports(folder)
    told("torchvista draws ResNet-50")
    address, why = torchvista(folder)
    if address:
        pages["torchvista, resnet50"] = address
    told(f"opening {len(pages)} pages, {ROUNDS} times each: about {len(pages) * ROUNDS * OPENING_S:.0f} s")
    wide = max(map(len, pages))
    say(
        f"pages opened from a file in Chromium, offline, {ROUNDS} times each; tasks under {LONG:.0f} ms are not long"
    )
    say(f"  {'page':{wide}}  {'seen':>9} {'loaded':>9}   {'longest task: opening':>21} {'scrolling':>10}")
    for name, row in measured(pages):
        tasks = [
            f"{row[part]:.0f} ms" if row[part] >= LONG else "none long" for part in ("opening", "scrolling")
        ]
        say(
            f"  {name:{wide}}  {row['paint']:6.0f} ms {row['loaded']:6.0f} ms   {tasks[0]:>21} {tasks[1]:>10}"
        )
        for url in row["refused"][:3]:
            say(f"    asks for {url}, which it does not get")
        sys.stdout.flush()
    if why:
        say(f"  torchvista: left out, {why}")
    sys.stdout.flush()
