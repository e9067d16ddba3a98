"""How soon does a saved page open, does it ever stall, and how long does its own engine take for one digit?

python bench/page.py                  both: pages in Chromium, LeNet-5 in the built module under Node
python bench/page.py --only opening   one part: opening or engine
python bench/page.py --model NAME     another network that the page runs
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from support import opening  # noqa: E402

import striate  # noqa: E402
from striate.views.page.model import model_parts  # noqa: E402

TIMES = 200
SCRIPT = """
import {{engine}} from {module}
import {{readFileSync}} from "node:fs"
const model = JSON.parse(readFileSync(0, "utf8"))
const start = performance.now()
const run = engine.compile(model)
const ready = performance.now() - start
const [height, width, channels] = model.image
const [input] = Object.keys(model.inputs)
const times = []
for (let k = 0; k < {times}; k++) {{
  const pixels = Uint8Array.from({{length: height * width * channels}}, () => Math.random() * 256)
  const before = performance.now()
  engine.probabilities(model, run(new Map([[input, engine.inputOf(model, pixels)]])))
  times.push(performance.now() - before)
}}
console.log(JSON.stringify({{ready, times, node: process.version}}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="lenet5", help="a network that the page runs (default: lenet5)")
    parser.add_argument("--only", choices=("opening", "engine"), help="one part")
    arguments = parser.parse_args()
    if arguments.only != "engine":
        with tempfile.TemporaryDirectory() as folder:
            opening.main(Path(folder))
    return 0 if arguments.only == "opening" else engine(arguments.model)


def engine(model: str) -> int:
    """Print the times of the page's own forward engine."""
    opening.told(f"{model}: {TIMES} images under Node")
    parts = model_parts(striate.load(model))
    if "model" not in parts:
        print(parts["no_model"], file=sys.stderr)
        return 1
    module = (resources.files("striate.views") / "static" / "striate.js").as_uri()  # type: ignore[attr-defined]
    script = SCRIPT.format(module=json.dumps(module), times=TIMES)
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script],
        input=json.dumps(parts["model"]),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return 1
    result = json.loads(done.stdout)
    first, *times = result["times"]
    times.sort()
    low, median, high = (times[len(times) * share // 100] for share in (10, 50, 90))
    print(
        f"{model}, one image after the other in the page's engine, Node {result['node']} on {platform.machine()}"
    )
    print(f"  ready after   {result['ready']:7.2f} ms")
    print(f"  first image   {first:7.2f} ms")
    print(f"  one image     {median:7.2f} ms, 10 to 90 % of {len(times)}: {low:.2f} to {high:.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
