"""What share of the peak does each kernel reach, and what does the cost model say? No other tool is measured.

    python bench/micro.py                 measure every target that runs here, print, save
    python bench/micro.py --rounds 25     more rounds
    python bench/micro.py --show FILE     a saved run as Markdown
    python bench/micro.py --reference     keep this run as the one that docs/benchmarks.md prints (`make docs`)

The kernels are compiled, and every target is measured in a process of its own on one pinned processor. Each tile's
sample follows one of independent multiply-adds; shares are those of the least times. STRIATE_TARGET=avx2 (avx512, sse)
measures that target alone, and the run is not saved.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from support import record, shares  # noqa: E402
from support.parts import PYTHON, environment  # noqa: E402

from striate.engine.target import able  # noqa: E402


def measured(target: str, rounds: int) -> dict[str, Any]:
    """The rows of one target, from a process of its own."""
    print(target, file=sys.stderr)
    asked = [PYTHON, str(HERE / "support" / "kernels.py"), str(rounds)]
    said = subprocess.run(
        asked, env=environment(STRIATE_TARGET=target), stdout=subprocess.PIPE, check=True, text=True
    )
    return dict(json.loads(said.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--only", metavar="NAME", action="append", help="another benchmark's row: nothing runs"
    )
    parser.add_argument("--show", type=Path, metavar="FILE")
    parser.add_argument("--reference", action="store_true")
    chosen = parser.parse_args()
    if chosen.show:
        print(shares.page(json.loads(chosen.show.read_text("utf-8"))))
        return
    if chosen.only:  # `make bench ARGS='--only …'` asks every benchmark, and means another one
        return
    load = os.getloadavg()[0]
    one = os.environ.get("STRIATE_TARGET")
    found = [measured(target.name, chosen.rounds) for target in able() if one in (None, "", target.name)]
    run = record.document("micro", [], [], load) | {
        "peaks": {part["target"]: part["peak"] for part in found},
        "rows": [row for part in found for row in part["rows"]],
    }
    print(shares.text(run))
    if not one:
        record.save(HERE / "results" / "micro.json", run)
        if chosen.reference:
            record.save(HERE / "reference" / f"micro-{record.kind()}.json", run)


if __name__ == "__main__":
    main()
