"""Saved pages for the tests of views, and the built module under Node."""

import json
import subprocess
from pathlib import Path

import striate
from striate.checks import check
from striate.views.html.document import document
from striate.views.html.network_part import network_part

MODULE = Path(striate.__file__).parent / "views" / "static" / "striate.js"


def report(folder, net):
    """The address of the page of a network, or of a model's text."""
    net = striate.load(net) if isinstance(net, str) else net
    path = folder / "page.html"
    path.write_text(document(network_part(net, check(net).findings)), "utf-8")
    return path.as_uri()


def answers(script, data):
    """What a script under Node answers: `data` and the module `page` in, `answer` out."""
    text = (
        f"import * as page from {json.dumps(MODULE.as_uri())}; import fs from 'node:fs';"
        "const data = JSON.parse(fs.readFileSync(0, 'utf8')); let answer;"
        f"{script}; process.stdout.write(JSON.stringify(answer))"
    )
    done = subprocess.run(
        ["node", "--input-type=module", "-e", text],
        input=json.dumps(data), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def settled(shown, size):
    """Nothing to complain about: no message, no violation, nothing that scrolls sideways."""
    wide = shown.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= size["width"], wide
    assert not (found := shown.violations()), found
    assert not shown.messages, shown.messages


def focus(page, selector, most=80):
    """Tab until something has the focus: how a reader without a mouse gets there."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(f"document.activeElement.matches({json.dumps(selector)})"):
            return
    raise AssertionError(f"no way to {selector} by Tab")


def spoken(page, selector="[data-view] [role=status]"):
    """What the live regions say."""
    return " ".join(page.locator(selector).all_inner_texts())
