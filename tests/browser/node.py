"""The built module of the page under Node, and in a page of a test's own."""

import base64
import json
import re
import subprocess
from pathlib import Path

import numpy as np

from striate.views.page.module import style_sheet

MODULE = Path(__file__).parents[2] / "src" / "striate" / "views" / "static" / "striate.js"


def node(script, given=None):
    """What a script prints as JSON: `engine` and `geometry` are the module's, `given` is the value passed."""
    text = (
        f"import {{engine, geometry}} from {json.dumps(MODULE.as_uri())}\n"
        "import {readFileSync} from 'node:fs'\n"
        "const given = JSON.parse(readFileSync(0, 'utf8'))\n"
        f"{script}"
    )
    done = subprocess.run(
        ["node", "--input-type=module", "-e", text], input=json.dumps(given), capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


PACK = """
const pack = (array) => Buffer.from(Float32Array.from(array).buffer).toString("base64")
const unpack = engine.floatsOf
"""


def packed(array):
    """float32 numbers as text."""
    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode()


def unpacked(text):
    """The numbers of a text."""
    return np.frombuffer(base64.b64decode(text), "<f4")


def write_page(path, script):
    """A page whose script knows the module's `mount` and `memoryRoutes`, and an element `here`; its address."""
    module = MODULE.read_text("ascii")
    names = {name: re.search(rf"([\w$]+) as {name}\b", module)[1] for name in ("mount", "memoryRoutes")}
    known = "".join(f"window.{name} = {local};\n" for name, local in names.items())
    path.write_text(
        f"""<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>-</title><style>{style_sheet()}</style>
        <main><h1>-</h1><div id="here"></div></main>
        <script type="module">{module}
        {known}
        {{ const here = document.getElementById("here")
        {script} }}</script>""",
        "utf-8",
    )
    return path.as_uri()
