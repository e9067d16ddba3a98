"""`striate bench`: how fast a network runs here, compared with the tools that are installed."""

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
from striate.diagnostics import OpError, UnknownNameError, UsageError, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from striate.engine.plan.stages import Stage
    from striate.peers.subject import Subject
    from striate.views.text.page import Page

STAGES = ("fused", "repeated", "placed", "spanned", "plan", "memory", "ir", "assembly")
"""What --stage prints, in the order in which it is made."""
ONLY_TRAINING, ONLY_INFERENCE = ("repeated",), ("spanned",)
CODE = ("ir", "assembly")
OURS = ("auto", "numpy", "compiled")
"""Engines that can be timed; the first two by default."""
KEYS = ("tool", "name", "median", "least", "low", "high", "cpu", "error")
TRAINING_KEYS = ("engine", "mib", "grown_mib", "phases")
"""Keys of a tool in the record, and additional ones for training."""


@click.command(
    short_help="Speed, compared with other installed tools.",
    epilog=examples(
        "striate bench resnet18",
        "striate bench mobilenet_v2 --batch 8 --threads 1",
        "striate bench '56x56x64 -> conv 3x3 64 pad 1' --rounds 25 --json",
        "striate bench resnet18 --stage plan",
        "striate bench lenet5 --train --batch 64",
    ),
)
@model_argument
@input_option
@click.option("--train", is_flag=True, help="Time training steps: forward, loss, backward, update.")
@click.option("--batch", metavar="N", type=click.IntRange(1), help="Batch size [1; 32 with --train].")
@click.option(
    "--threads", metavar="N", type=click.IntRange(1), help="Threads of every tool [all usable ones]."
)
@click.option(
    "--rounds",
    default=9,
    metavar="N",
    type=click.IntRange(1),
    help="Interleaved rounds, one sample per tool each [9].",
)
@click.option("--engine", "engines", metavar="NAME", multiple=True, type=Names("NAME", lambda: OURS),
              help="Engine of Striate to time; may be repeated [auto; without --train also numpy].")  # fmt: skip
@click.option("--peers/--no-peers", default=True, help="Time other tools too, or only Striate's engines.")
@click.option("--slow", is_flag=True, help="Also time tools that need minutes to start (torch.compile).")
@click.option("--stage", metavar="NAME", type=Names("NAME", lambda: STAGES),
              help="Print a stage of the compiled program instead: fused, placed, spanned (repeated with --train), "
              "plan, memory, ir or assembly (the last two need --node).")  # fmt: skip
@click.option(
    "--node", metavar="NAME", help="Print this node's part of the stage only; not with --stage plan."
)
@click.option(
    "--memory",
    metavar="SIZE",
    help="With --train --stage plan: plan the step within this memory budget, such as 2GB.",
)
@json_option
@output_option
def command(
    model: str,
    input: Any,
    train: bool,
    batch: int | None,
    threads: int | None,
    rounds: int,
    engines: tuple[str, ...],
    peers: bool,
    slow: bool,
    stage: str | None,
    node: str | None,
    memory: str | None,
    as_json: bool,
    output: str | None,
) -> None:
    """Time inference or training steps in float32, in interleaved rounds.

    Results are first compared with float64: the outputs, or the loss and the updates of a training step on up to four
    images. Every tool runs at its best settings in a separate process, with the same network, weights and threads.
    Tools that are not installed, fail or give wrong results are listed. A second table shows the time per node, or per
    part of a training step.
    """
    from striate.engine.interface import runnable
    from striate.peers.subject import Subject
    from striate.views.doctor_record import threads as useful

    if stage is not None and as_json:
        raise click.UsageError("--stage and --json exclude each other")
    room = _room(memory)
    if room and not (train and stage):
        raise click.UsageError("--memory goes with --train and --stage")
    count = threads or useful()["useful"]
    subject = Subject(model, input or "", batch or (32 if train else 1), train=train)
    loaded = subject.load()
    runnable(loaded.net)
    if len(loaded.net.inputs) > 1:
        raise UsageError(
            f"{loaded.net.name} has {len(loaded.net.inputs)} inputs, and bench times networks with one",
            where="striate bench",
            why=f"its inputs are {', '.join(loaded.net.inputs)}; the other tools take one batch of images",
            fix="time parts that have one input, or time model.compile(batch=8) in Python",
        )
    if train and not any(parameter.trainable for parameter in loaded.net.parameters.values()):
        raise UsageError(
            f"{loaded.net.name} has nothing to learn", where="striate bench --train", fix="leave out --train"
        )
    if stage is not None:
        emit(_stage_report(stage, node, subject, count, room), output)
        return
    if node is not None:
        raise click.UsageError("--node goes with --stage")
    record = {
        "schema": "striate.bench-train/1" if train else "striate.bench/1",
        "model": loaded.net.name,
        "input": list(loaded.net.input.without_batch),
        "batch": subject.batch,
        "threads": count,
        "rounds": rounds,
        **_measure(subject, count, rounds, _tools(train, engines, peers, slow)),
    }
    if as_json:
        emit_json(record, output)
        return
    from striate.views.text import bench as view

    out = page()
    (view.draw_training if train else view.draw)(out, record)
    emit(out, output)


def _room(memory: str | None) -> int:
    """Memory budget in bytes; 0: no limit."""
    from striate.train.settings import Settings

    return Settings().replace_flags({"memory": memory}).memory_bytes


def _stage_report(stage: str, node: str | None, subject: Subject, threads: int, room: int) -> object:
    """A stage of the compiled program, as a page or text."""
    if stage not in STAGES:
        near = suggest(stage, STAGES)
        raise UnknownNameError(
            f"no stage {stage!r}",
            where="striate bench --stage",
            why=f"the stages are {', '.join(STAGES)}",
            fix=f"did you mean {near}?" if near else f"--stage {STAGES[0]}",
        )
    others = ONLY_INFERENCE if subject.train else ONLY_TRAINING
    if stage in others:
        raise click.UsageError(f"--stage {stage} goes with{'out' if subject.train else ''} --train")
    if stage == "plan" and node is not None:
        raise click.UsageError("--node goes with the other stages: --stage plan prints all nodes")
    model = subject.load("compiled")
    if subject.train:
        return _training_stage(stage, node, subject, threads, room)
    if stage not in ("plan", *CODE):
        return _inference_stage(stage, node, subject, threads)
    program: Any = model.compile(batch=subject.batch, threads=threads)
    if stage != "plan":
        return _code(program, node, stage)
    from striate.diagnostics import plural
    from striate.engine.runtime.plan_report import Machine
    from striate.views.text import plan_report as view
    from striate.views.text.number_format import shape

    out = page()
    size = shape(model.net.input.without_batch)
    title = f"{model.net.name}, input {size}, batch {subject.batch}, {plural(threads, 'thread')}"
    view.draw(out, title, program.table(subject.images(), Machine.measure(threads)))
    return out


def _inference_stage(stage: str, node: str | None, subject: Subject, threads: int) -> object:
    """A stage before the calls run."""
    from striate.diagnostics import plural
    from striate.engine.compiled_engine import CompiledEngine
    from striate.engine.numpy_.numpy_engine import batched
    from striate.engine.plan.execution_plan import stages
    from striate.engine.registry import get_engine
    from striate.views.text.number_format import shape

    engine, model = get_engine("compiled"), subject.load("numpy")
    assert isinstance(engine, CompiledEngine)
    net = batched(model.net, subject.batch)
    row = stages(net, dict(model.weights), net.outputs, engine.context(threads))
    size = shape(net.input.without_batch)
    title = f"{net.name}, input {size}, batch {subject.batch}, {plural(threads, 'thread')}"
    return _draw_stage(page(), title, row, stage, node)


def _draw_stage(out: Page, title: str, stages: Iterable[Stage], name: str, node: str | None) -> Page:
    """Draw the stage of that name, or a node's part of it."""
    from striate.engine.plan.execution_plan import ExecutionPlan
    from striate.engine.plan.stages import Placed, Spanned
    from striate.engine.runtime import stage_report as report
    from striate.views.text import stage_report as view

    made: Any = next(made for made in stages if made.name == ("allotted" if name == "memory" else name))
    units = list(made.units) if name != "memory" else list(dict.fromkeys(step.unit for step in made.steps))
    if node is not None:
        _check_node(node, (known for unit in units for known in unit.nodes), name)
        units = [unit for unit in units if node in unit.nodes]
    if isinstance(made, ExecutionPlan):
        calls = [step for step in made.steps if step.unit in units]
        view.draw_memory(out, title, report.memory_rows(made, calls), made.arena.bytes)
    elif isinstance(made, Spanned):
        rows = report.call_rows(made.calls, made.spans)
        shown = [row for row, call in zip(rows, made.calls, strict=True) if call.unit in units]
        view.draw_spans(out, title, shown, made.net.input.shape[0])
    elif isinstance(made, Placed):
        view.draw_buffers(out, title, report.buffer_rows(units))
    else:
        view.draw_units(out, title, report.unit_rows(units))
    return out


def _check_node(node: str, names: Iterable[str], stage: str) -> None:
    """Raises UnknownNameError if the stage has no such node."""
    known = dict.fromkeys(names)
    if node not in known:
        near = suggest(node, known)
        raise UnknownNameError(
            f"no node {node!r} in the plan",
            fix=f"did you mean {near}?" if near else f"--stage {stage} lists them",
        )


def _training_stage(stage: str, node: str | None, subject: Subject, threads: int, room: int) -> object:
    """The same for a training step. room: memory budget in bytes, with weights and one moment each; 0: no limit."""
    from striate.diagnostics import plural
    from striate.engine.compiled_engine import CompiledEngine
    from striate.engine.learner import OptimizerState, UpdateRule
    from striate.engine.registry import get_engine
    from striate.engine.runtime.plan_report import Machine
    from striate.engine.training.budget import learner_bytes
    from striate.engine.training.compiled_training import CompiledTraining
    from striate.engine.training.training_report import plan_for_batch, stages_for_batch, table
    from striate.views.text import plan_report as view
    from striate.views.text.number_format import shape

    engine, model = get_engine("compiled"), subject.load("numpy")
    assert isinstance(engine, CompiledEngine)
    weights = dict(model.weights)
    reserved = learner_bytes(model.net, UpdateRule("sgd"), OptimizerState(weights, {}, None), moments=1)
    program = CompiledTraining(model.net, weights, engine.context(threads), memory=room, reserved=reserved)
    out, size = page(), shape(model.net.input.without_batch)
    title = f"training {model.net.name}, input {size}, batch {subject.batch}, {plural(threads, 'thread')}"
    if stage not in ("plan", *CODE):
        return _draw_stage(out, title, stages_for_batch(program, subject.batch), stage, node)
    if stage != "plan":
        return _code(plan_for_batch(program, subject.batch), node, stage)
    view.draw_training(out, title, table(program, subject.images(), Machine.measure(threads)))
    return out


def _code(program: Any, node: str | None, stage: str) -> str:
    """The kernels that compute a node: in LLVM's language, or as the processor's instructions."""
    from striate.engine.codegen.llvm import assembly

    if node is None:
        raise click.UsageError(f"--stage {stage} needs a node: --node NAME")
    plan = program.plan
    _check_node(node, (name for step in plan.steps for name in step.unit.nodes), "plan")
    steps = [step for step in plan.steps if node in step.unit.nodes]
    kernels = dict.fromkeys(kernel for step in steps for kernel in (step.kernel, *step.uses))
    target = plan.context.target
    mark = ";" if stage == "ir" else "#"
    parts = []
    for kernel in kernels:
        text = kernel.text(target)
        body = text if stage == "ir" else assembly(target, text)
        parts.append(f"{mark} {kernel.template}({', '.join(map(str, kernel.parameters))})\n{body.rstrip()}\n")
    return "\n".join(parts)


def _tools(train: bool, engines: Sequence[str], peers: bool, slow: bool) -> list[str]:
    """The tools to time, Striate's first. Raises UnknownNameError, EngineError, UsageError for an engine."""
    from striate.engine.registry import get_engine
    from striate.peers.tools import TOOLS

    ours = set()
    for name in engines or OURS[: 1 if train else 2]:
        engine = get_engine(name).name
        if engine not in ("compiled", "numpy"):
            raise UsageError(
                f"the {engine} engine cannot be timed",
                where="striate bench --engine",
                why="torch itself is timed if it is installed",
                fix=f"--engine {OURS[0]}",
            )
        ours.add("striate" if engine == "compiled" else engine)
    others = {tool for tool, what in TOOLS.items() if not what.ours and peers and (slow or not what.slow)}
    return [tool for tool, what in TOOLS.items() if tool in ours | others and (what.trains or not train)]


def _measure(subject: Subject, threads: int, rounds: int, tools: Sequence[str]) -> dict[str, Any]:
    """Measure: machine, tools, tools left out, and the time of each node or part of a step."""
    import dataclasses

    from striate.peers.contest import Failed, contest, once
    from striate.peers.tools import TOOLS
    from striate.terminal import Bar
    from striate.views.doctor_record import cpu

    with tempfile.TemporaryDirectory() as folder, Bar() as bar:
        job = dataclasses.replace(subject, folder=folder)
        try:
            result = contest(
                job,
                tools,
                threads,
                rounds,
                report=lambda text: bar.update(text, 0, 1),
                progress=lambda done, total: bar.count("timing", done, total),
            )
            more = once("limits" if subject.train else "nodes", job, threads)[0]
        except Failed as why:
            raise OpError(
                f"{subject.model} cannot be measured", why=str(why), fix="try another --batch or --input"
            ) from None
    rows = [
        row.summary() | result.prepared[name] | {"tool": name, "error": result.answers[name]}
        for name, row in result.rows.items()
    ]
    keys = (*KEYS, *(TRAINING_KEYS if subject.train else ()))
    return {
        "cpu": cpu()["name"],
        **({"limits": more or None} if subject.train else {}),
        "tools": [{key: row[key] for key in keys} for row in rows],
        "left_out": [
            {"tool": tool, "name": TOOLS[tool].label, "why": why} for tool, why in result.left_out.items()
        ],
        "not_installed": [
            {"tool": tool, "name": TOOLS[tool].label, "packages": packages}
            for tool, packages in result.lacking.items()
        ],
        **({} if subject.train else {"nodes_engine": more["engine"], "nodes": more["nodes"]}),
    }
