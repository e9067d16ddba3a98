"""The built module of the page under Node."""

import base64
import json
import subprocess
from pathlib import Path

import numpy as np

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
