"""Is anything still wrong? Generated inputs of every kind, for as long as you like, against what they must give.

    python bench/soak.py                              ten minutes of every generator in tests/generators, in turn
    python bench/soak.py --minutes 60 --processes 4   longer, wider
    python bench/soak.py --kind plan --kind files     some kinds
    python bench/soak.py --kind plan --seed 123       one trial again, here, to look at it
    python bench/soak.py --fresh                      from the first seed, without what an earlier run found

A trial that raises, crashes its process or does not end within --limit seconds is a finding, as is what the generator
itself says. A run goes on where the last one stopped (bench/results/soak.json). On other source the counts begin anew,
the seeds go on, and what an earlier run found is tried again first. Exit code 1 where there are findings.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from support import trials  # noqa: E402

from striate.engine.threads import processors  # noqa: E402

GENERATORS = HERE.parent / "tests" / "generators"
STATE = HERE / "results" / "soak.json"
SCHEMA = "striate.soak/1"
SAVED_EVERY_S, TOLD_EVERY_S = 2.0, 60.0
TURN_S, MOST_IN_A_TURN = 2.0, 100


def source() -> str:
    """The last commit that touches the source; with a + where files have changed since. Empty without git."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):

        def git(*words: str) -> str:
            done = subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=True)
            return done.stdout.strip()

        top = ("--", "../src")
        return git("log", "-1", "--format=%h", *top) + ("+" if git("status", "--porcelain", *top) else "")
    return ""


class State:
    """What has been tried, written aside and renamed, so that a run that was stopped at any moment goes on."""

    def __init__(self, path: Path, kinds: Sequence[str], now: str, fresh: bool) -> None:
        self.path, self.written = path, time.monotonic()
        saved = {} if fresh else self._read()
        self.source, self.seconds = now, 0.0
        self.kinds: dict[str, dict[str, Any]] = saved.get("kinds", {})
        self.findings: list[dict[str, Any]] = saved.get("findings", [])
        same = saved.get("source") == now
        if same:
            self.seconds = saved.get("seconds", 0.0)
        for kind in kinds:
            self.kinds.setdefault(kind, {"next": 0, "open": [], "trials": 0, "findings": 0, "seconds": 0.0})
        for kind, counts in self.kinds.items():
            if not same:
                again = [each["seed"] for each in self.findings if each["kind"] == kind]
                counts.update(open=sorted({*counts["open"], *again}), trials=0, findings=0, seconds=0.0)
        if not same:
            self.findings = []

    def _read(self) -> dict[str, Any]:
        try:
            saved = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            sys.exit(f"{self.path} cannot be read ({error}): --fresh begins anew")
        if not isinstance(saved, dict) or saved.get("schema") != SCHEMA:
            sys.exit(f"{self.path} is not the state of a soak: name another --state")
        return saved

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_suffix(".part")
        parts = {name: getattr(self, name) for name in ("source", "seconds", "kinds", "findings")}
        aside.write_text(json.dumps({"schema": SCHEMA, **parts}, indent=1) + "\n", "utf-8")
        aside.replace(self.path)
        self.written = time.monotonic()

    def seeds(self, kinds: Sequence[str]) -> Iterator[tuple[str, int]]:
        """Kinds in turn, quick ones several times in a turn; of each first what was begun and not ended. A seed is open
        until its answer is there."""
        waiting = {kind: list(self.kinds[kind]["open"]) for kind in kinds}
        while True:
            for kind in (each for each in kinds for _ in range(self._turns(each))):
                counts = self.kinds[kind]
                if waiting[kind]:
                    seed = waiting[kind].pop(0)
                else:
                    seed, counts["next"] = counts["next"], counts["next"] + 1
                    counts["open"].append(seed)
                yield kind, seed

    def _turns(self, kind: str) -> int:
        counts = self.kinds[kind]
        if not counts["trials"]:
            return 1
        return min(max(int(TURN_S * counts["trials"] / max(counts["seconds"], 1e-9)), 1), MOST_IN_A_TURN)

    def add(self, answer: trials.Answer) -> None:
        counts = self.kinds[answer.kind]
        counts["open"].remove(answer.seed)
        counts["trials"] += 1
        counts["seconds"] += answer.seconds
        if answer.said is not None:
            counts["findings"] += 1
            self.findings.append({"kind": answer.kind, "seed": answer.seed, "said": answer.said})


def repeat(kind: str, seed: int) -> str:
    return f"python bench/soak.py --kind {kind} --seed {seed}"


def table(state: State) -> str:
    rows = [("kind", "trials", "findings", "ms each")]
    for kind, counts in sorted(state.kinds.items()):
        each = f"{1000 * counts['seconds'] / counts['trials']:.0f}" if counts["trials"] else "-"
        rows.append((kind, f"{counts['trials']:,}", f"{counts['findings']:,}", each))
    total = [sum(counts[key] for counts in state.kinds.values()) for key in ("trials", "findings")]
    rows.append(("all", *(f"{number:,}" for number in total), ""))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:]))]
        ).rstrip()
        for row in rows
    )


def once(folder: Path, kind: str, seed: int) -> int:
    """One trial in this process: a crash, its output and a debugger are then at hand."""
    faulthandler.enable()
    module = trials.generator(folder, kind)
    if hasattr(module, "describe"):
        print(module.describe(seed), flush=True)
    said = trials.tried(folder, kind, seed)
    print(f"{kind} {seed}: {said or 'right'}")
    return int(said is not None)


def soak(chosen: argparse.Namespace, kinds: Sequence[str]) -> int:
    state = State(chosen.state, kinds, source(), chosen.fresh)
    for each in state.findings:
        print(f"{each['kind']} {each['seed']}: {each['said']}\n  {repeat(each['kind'], each['seed'])}")
    begun, before = time.monotonic(), state.seconds
    told = begun

    def over() -> bool:
        return time.monotonic() - begun >= 60 * chosen.minutes

    answers = trials.run(chosen.generators, state.seeds(kinds), chosen.processes, chosen.limit, over)
    try:
        for answer in answers:
            state.add(answer)
            state.seconds = before + time.monotonic() - begun
            if answer.said is not None:
                print(
                    f"{answer.kind} {answer.seed}: {answer.said}\n  {repeat(answer.kind, answer.seed)}",
                    flush=True,
                )
            if answer.said is not None or time.monotonic() - state.written > SAVED_EVERY_S:
                state.save()
            if time.monotonic() - told > TOLD_EVERY_S:
                told = time.monotonic()
                counts = " · ".join(f"{kind} {state.kinds[kind]['trials']:,}" for kind in kinds)
                print(
                    f"{(told - begun) / 60:.0f} min: {counts} · findings {len(state.findings)}",
                    file=sys.stderr,
                )
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
    finally:
        answers.close()
        state.save()
    print(f"{state.seconds / 60:.1f} min on {state.source or 'this source'}")
    print(table(state))
    return int(bool(state.findings))


def arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--processes", type=int, default=len(processors()))
    parser.add_argument("--kind", action="append")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--limit", type=float, default=60.0, metavar="SECONDS", help="of one trial")
    parser.add_argument("--state", type=Path, default=STATE, metavar="FILE")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--generators", type=Path, default=GENERATORS, metavar="FOLDER")
    chosen = parser.parse_args()
    chosen.generators = chosen.generators.resolve()
    there = trials.kinds(chosen.generators)
    for kind in chosen.kind or ():
        if kind not in there:
            parser.error(f"no generator {kind!r}: there are {', '.join(there) or 'none'}")
    if chosen.seed is not None and len(chosen.kind or ()) != 1:
        parser.error("--seed belongs to one --kind")
    if not chosen.minutes >= 0 or not chosen.limit > 0 or chosen.processes < 1:
        parser.error("--minutes, --limit and --processes must be positive")
    kinds = []
    for kind in dict.fromkeys(chosen.kind or there):
        if lacks := trials.lacking(trials.generator(chosen.generators, kind)):
            print(f"left out: {kind}, not installed: {', '.join(lacks)}", file=sys.stderr)
        else:
            kinds.append(kind)
    if not kinds:
        sys.exit(f"no generators to run in {chosen.generators}")
    return chosen, kinds


def main() -> int:
    chosen, kinds = arguments()
    if chosen.seed is not None:
        return once(chosen.generators, kinds[0], chosen.seed)
    return soak(chosen, kinds)


if __name__ == "__main__":
    sys.exit(main())
