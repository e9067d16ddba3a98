"""`striate bench`: how fast a network runs here, beside the tools that are installed."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import click

from striate.cli.options import (
    Names,
    emit,
    emit_json,
    examples,
    input_option,
    json_option,
    model_argument,
    output_option,
    page,
)
from striate.diagnostics import OpError, UnknownNameError, suggest

if TYPE_CHECKING:
    from striate.peers.subject import Subject

STAGES = ("plan", "ir", "assembly")


@click.command(
    short_help="Speed beside the tools that are installed.",
    epilog=examples(
        "striate bench resnet18",
        "striate bench mobilenet_v2 --batch 8 --threads 1",
        "striate bench '56x56x64 -> conv 3x3 64 pad 1' --rounds 25 --json",
        "striate bench resnet18 --stage plan",
    ),
)
@model_argument
@input_option
@click.option("--batch", default=1, metavar="N", type=click.IntRange(1), help="Images in one run [1].")
@click.option(
    "--threads", metavar="N", type=click.IntRange(1), help="The same for every tool [all useful ones]."
)
@click.option(
    "--rounds", default=9, metavar="N", type=click.IntRange(1), help="Interleaved samples of each tool [9]."
)
@click.option("--peers/--no-peers", default=True, help="Beside other tools, or only Striate's engines.")
@click.option("--slow", is_flag=True, help="Also tools that take minutes before they run (torch.compile).")
@click.option("--stage", metavar="NAME", type=Names("NAME", lambda: STAGES),
              help="Print a stage of the compiled program instead: plan; ir, assembly (of --node).")  # fmt: skip
@click.option("--node", metavar="NAME", help="The node whose code --stage ir and assembly print.")
@json_option
@output_option
def command(
    model: str,
    input: str | None,
    batch: int,
    threads: int | None,
    rounds: int,
    peers: bool,
    slow: bool,
    stage: str | None,
    node: str | None,
    as_json: bool,
    output: str | None,
) -> None:
    """Time inference in float32, in interleaved rounds, after every answer was compared with float64.

    Every tool runs at its best settings in a process of its own, with the same network, weights and threads. Tools
    that are not installed, fail or answer wrongly are named. The nodes' shares show where the time goes.
    """
    from striate.engine.interface import runnable
    from striate.peers.subject import Subject
    from striate.views.machine import threads as useful

    if stage is not None and as_json:
        raise click.UsageError("--stage and --json exclude each other")
    count = threads or useful()["useful"]
    asked = Subject(model, input or "", batch)
    loaded = asked.load()
    runnable(loaded.net)
    _ = loaded.net.input
    if stage is not None:
        emit(_staged(stage, node, asked, count), output)
        return
    if node is not None:
        raise click.UsageError("--node goes with --stage ir and --stage assembly")
    record = {
        "schema": "striate.bench/1",
        "model": loaded.net.name,
        "input": list(loaded.net.input.without_batch),
        "batch": batch,
        "threads": count,
        "rounds": rounds,
        **_measured(asked, count, rounds, peers, slow),
    }
    if as_json:
        emit_json(record, output)
        return
    from striate.views.text import bench as view

    out = page()
    view.draw(out, record)
    emit(out, output)


def _staged(stage: str, node: str | None, asked: Subject, threads: int) -> object:
    """What the compiled program says of itself."""
    if stage not in STAGES:
        near = suggest(stage, STAGES)
        raise UnknownNameError(
            f"no stage {stage!r}",
            where="striate bench --stage",
            why=f"the stages are {', '.join(STAGES)}",
            fix=f"did you mean {near}?" if near else f"--stage {STAGES[0]}",
        )
    model = asked.load("compiled")
    program: Any = model.compile(batch=asked.batch, threads=threads)
    if stage != "plan":
        return _code(program, node, stage)
    if node is not None:
        raise click.UsageError("--node goes with --stage ir and --stage assembly")
    from striate.engine.rows import Machine
    from striate.views.text import plan as view
    from striate.views.text.numbers import plural, shape

    out = page()
    size = shape(model.net.input.without_batch)
    title = f"{model.net.name}, input {size}, batch {asked.batch}, {plural(threads, 'thread')}"
    view.draw(out, title, program.table(asked.images(), Machine.measured(threads)))
    return out


def _code(program: Any, node: str | None, stage: str) -> str:
    """The kernels that compute a node: in LLVM's language, or as the processor's instructions."""
    from striate.engine.codegen import assembly

    if node is None:
        raise click.UsageError(f"--stage {stage} wants a node: --node NAME")
    plan = program.plan
    names = dict.fromkeys(name for step in plan.steps for name in step.unit.nodes)
    if node not in names:
        near = suggest(node, names)
        raise UnknownNameError(
            f"no node {node!r} in the plan",
            fix=f"did you mean {near}?" if near else "--stage plan lists them",
        )
    steps = [step for step in plan.steps if node in step.unit.nodes]
    kernels = dict.fromkeys(kernel for step in steps for kernel in (step.kernel, *step.uses))
    target = plan.context.target
    mark = ";" if stage == "ir" else "#"
    parts = []
    for kernel in kernels:
        text = kernel.text(target)
        body = text if stage == "ir" else assembly(target, text)
        parts.append(f"{mark} {kernel.template}({', '.join(map(str, kernel.numbers))})\n{body.rstrip()}\n")
    return "\n".join(parts)


def _measured(asked: Subject, threads: int, rounds: int, peers: bool, slow: bool) -> dict[str, Any]:
    """Machine, tools, those left out, and nodes of the record."""
    import dataclasses

    from striate.engine.interface import get
    from striate.peers.contest import Failed, contest, once
    from striate.peers.tools import TOOLS
    from striate.views.machine import cpu
    from striate.views.text.progress import Bar

    tools = [name for name, tool in TOOLS.items() if tool.ours or (peers and (slow or not tool.slow))]
    if get("auto").name == get("numpy").name:
        tools.remove("striate")  # the same engine by another name
    with tempfile.TemporaryDirectory() as folder, Bar() as bar:
        subject = dataclasses.replace(asked, folder=folder)
        try:
            found = contest(
                subject,
                tools,
                threads,
                rounds,
                said=lambda text: bar.update(text, 0, 1),
                counted=lambda done, total: bar.count("timing", done, total),
            )
            nodes = once("nodes", subject, threads)[0]
        except Failed as why:
            raise OpError(
                f"{asked.model} cannot be measured", why=str(why), fix="a smaller --batch or --input"
            ) from None
    rows = [row.summary() | {"tool": name, "error": found.answers[name]} for name, row in found.rows.items()]
    return {
        "cpu": cpu()["name"],
        "tools": [
            {key: row[key] for key in ("tool", "name", "median", "least", "low", "high", "cpu", "error")}
            for row in rows
        ],
        "left_out": [
            {"tool": tool, "name": TOOLS[tool].label, "why": why} for tool, why in found.left_out.items()
        ],
        "not_installed": [
            {"tool": tool, "name": TOOLS[tool].label, "packages": packages}
            for tool, packages in found.lacking.items()
        ],
        "nodes_engine": nodes["engine"],
        "nodes": nodes["nodes"],
    }
