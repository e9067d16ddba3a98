"""Converts every exception to a StriateError: what, where, why, fix, code. Imported only after an error."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import click

from striate import elsewhere
from striate.cli.app import COMMANDS, app
from striate.cli.app import ELSEWHERE as COMMAND
from striate.diagnostics import (
    InternalError,
    LimitError,
    MissingExtraError,
    SourceError,
    StriateError,
    UnknownNameError,
    UsageError,
    suggest,
)

ELSEWHERE = {
    "--format": "--output-format", "--learning-rate": "--lr",
    "--batch": "--batch-size", "--imgsz": "--input", "--input-size": "--input", "-v": "--version", "-V": "--version",
    "--dataset": "--data", "--arch": "--model", "--network": "--model", "-m": "--model", "-e": "--epochs",
    "-b": "--batch-size", "-o": "--out", "--output": "--out", "--output-dir": "--out", "--save-dir": "--out",
    "--project": "--out", "--name": "--out", "--gpu": "--device", "--gpus": "--device", "--output-file": "--output",
    "--img-size": "--input", "--image-size": "--input", "--input-shape": "--input", "--cfg": "--config",
    "--checkpoint": "--weights", "--ckpt": "--weights", "--list": "--all",
    "--layer": "--node", "--layer-name": "--node",
}  # fmt: skip
"""Option of other tools -> ours, if the command has it."""

REMARKS = {
    "--quiet -q --silent -s": "leave it out: a command prints its result alone",
    "--verbose --debug": "leave it out: messages are complete",
    "--no-cache --watch --show-fixes --show-settings --preview": "leave it out",
    "--add-noqa --noqa --per-file-ignores": "--write-baseline FILE keeps the findings of today apart from new ones",
    "--exit-non-zero-on-fix --fix-only": "--diff, which exits 1 where something would change",
    "--strict": "--fail-on info",
    "--to --format -f -o --output": "name the file, its suffix is the format: striate convert MODEL model.onnx",
    "--source --image --images -i": "name images without an option: striate predict RUN IMAGE",
    "--val-split --validation-split": "leave it out: a part of each class is set aside, unless --validation PATH",
    "--pretrained": "leave it out, or name a file: nothing is fetched from a network",
    "--freeze": 'name what is not trained where the network is built: build(op, x, frozen=["weight"]) with st.Builder',
    "--no-val --noval": "leave it out: every epoch ends with a pass over the validation data",
    "--exist-ok --overwrite --force": "name another file or folder",
    "--cos-lr": "--schedule cosine",
    "--conf --conf-thres --iou --threshold": "leave it out: every image gets its likeliest classes",
    "--save --save-txt": "--output FILE",
    "--html": "striate report MODEL -o report.html",
    "--no-color --color": "set the environment variable NO_COLOR=1; pipes and files get no colors",
    "--weights --checkpoint --ckpt": "give a model with weights: a run folder, or a file that holds both",
    "--depth --col-names": "leave it out; --fold shows repeated blocks once",
}
"""Options of other tools without an equivalent -> what to do."""

POSITIONAL = ("model", "source", "path", "format")
"""Named arguments of other tools that are positional here, if the command has no option of this name."""


PACKAGES = {"PIL": "pillow"}
"""Module to the package that brings it, where the names differ."""


def as_striate_error(error: Exception, arguments: Sequence[str] = ()) -> StriateError:
    """Convert `error` to the five-part error that the command line prints; arguments: what the user typed."""
    if isinstance(error, StriateError):
        if fix := _in_pairs(arguments):
            error.fix = fix
        return error
    if isinstance(error, click.UsageError):
        return _usage(error, arguments)
    if isinstance(error, click.ClickException):
        return UsageError(error.format_message())
    if isinstance(error, OSError):
        name = str(error.filename) if error.filename is not None else ""
        return SourceError(
            f"{name}: {error.strerror}" if name else str(error.strerror or error),
            where=name,
            why=str(error),
            fix="check the path, its permissions and the free space",
        )
    if (
        isinstance(error, ImportError)
        and (package := (error.name or "striate").partition(".")[0]) != "striate"
    ):
        name = PACKAGES.get(package, package)
        return MissingExtraError(f"{name} is not installed", why=str(error), fix=f"pip install {name}")
    if isinstance(error, RecursionError):
        return LimitError(
            "the input is nested too deeply",
            why="reading it exceeds Python's recursion limit",
            fix="use fewer nested brackets",
        )
    if isinstance(error, MemoryError):
        return LimitError(
            "out of memory",
            why="the input needs more memory than is available",
            fix="use a smaller --input, or fewer channels",
        )
    return InternalError(
        f"{type(error).__name__}: {error}",
        why="this is a bug in Striate",
        fix="run the command with STRIATE_TRACEBACK=1 and report the output",
    )


def _ours(option: str, flags: set[str]) -> str:
    """Our option for one of another tool, among the flags of a command; empty if there is none."""
    dashed = option.replace("_", "-")
    setting = elsewhere.SETTINGS.get(dashed.lstrip("-").replace("-", "_"), "")
    for ours in (dashed, ELSEWHERE.get(dashed, ""), f"--{setting.replace('_', '-')}"):
        if ours in flags:
            return ours
    return ""


def _remark(option: str) -> str:
    """What to do about an option that no command has; empty if it is unknown."""
    setting = elsewhere.SETTINGS.get(option.lstrip("-").replace("-", "_"), "")
    fix = next((fix for names, fix in REMARKS.items() if option in names.split()), "")
    return fix or (setting if setting.startswith("leave it out:") else "")


def _flags(context: click.Context | None) -> set[str]:
    parameters = context.command.get_params(context) if context else []
    return {flag for parameter in parameters for flag in parameter.opts}


def _in_pairs(arguments: Sequence[str]) -> str:
    """Our command for arguments such as data=digits, as in Ultralytics and Hydra; or empty."""
    pairs = {
        name: value
        for before, word in zip(("", *arguments), arguments, strict=False)
        if not before.startswith("-") and re.fullmatch(r"\w+=.+", word)
        for name, _, value in [word.partition("=")]
    }
    words = [word for word in arguments if "=" not in word and not word.startswith("-")]
    ours = {word: name for word in words if (name := COMMAND.get(word, word)) in COMMANDS}
    command = next(reversed(ours.values()), COMMAND.get(mode := pairs.get("mode", ""), mode))
    if not pairs or command not in COMMANDS:
        return ""
    flags = _flags(click.Context(app.get_command(click.Context(app), command) or app))
    values = {word for before, word in pairwise(arguments) if before.startswith("-")}
    parts = ["striate", command, *(shlex.quote(word) for word in words if word not in {*ours, *values})]
    for name, value in pairs.items():
        if flag := _ours(f"--{name}", flags):
            parts += [flag, shlex.quote(value)]
        elif name in POSITIONAL:
            parts.append(f"model.{value}" if name == "format" else shlex.quote(value))
    return " ".join(parts)


def _context(arguments: Sequence[str]) -> click.Context | None:
    """The context of the command that was typed, for errors of click that do not say where they are."""
    name = next((word for word in arguments[:1] if word in COMMANDS), None)
    parent = click.Context(app, info_name="striate")
    command = app.get_command(parent, name) if name else None
    return click.Context(command, info_name=name, parent=parent) if command else None


def _named_file(arguments: Sequence[str], context: click.Context | None) -> str:
    """The command with -o before a file that was typed after the model: `draw lenet5 lenet5.svg`; or empty."""
    if len(arguments) != 3 or not context or "-o" not in _flags(context):
        return ""
    name, model, path = arguments
    if path.startswith("-") or (suffix := Path(path).suffix) in elsewhere.FILES or not suffix:
        return ""
    return f"striate {name} {shlex.quote(model)} -o {shlex.quote(path)}"


def _usage(error: click.UsageError, arguments: Sequence[str]) -> StriateError:
    context = error.ctx or _context(arguments)
    where = context.command_path if context else "striate"
    message = error.format_message().rstrip(".")
    kind: type[StriateError] = UsageError
    why, nearest, remark = (
        context.command.get_usage(context).removeprefix("Usage: ") if context else "",
        "",
        "",
    )
    if isinstance(error, click.NoSuchOption):
        kind, message = UnknownNameError, f"no such option: {error.option_name}"
        nearest = _ours(error.option_name, _flags(context))
        remark = "" if nearest else _remark(error.option_name)
        bare = {flag.lstrip("-"): flag for flag in _flags(context)}
        nearest = nearest or ("" if remark else bare.get(suggest(error.option_name.lstrip("-"), bare), ""))
    elif (
        isinstance(error, click.BadParameter)
        and error.param
        and not isinstance(error, click.MissingParameter)
    ):
        option, sort = error.param.opts[0], error.param.type
        quoted = next(iter(re.findall(r"'([^']*)' is|(\S+) is", error.message)), ("", ""))
        word = quoted[0] or quoted[1]
        if isinstance(sort, click.Choice):
            choices = [str(choice) for choice in sort.choices]
            kind, message, nearest = (
                UnknownNameError,
                f"{option}: unknown value {word!r}",
                suggest(word, choices),
            )
            why = f"the values are {', '.join(choices)}"
        elif isinstance(sort, click.IntRange):
            allowed = f"of at least {sort.min}" if sort.max is None else f"from {sort.min} to {sort.max}"
            message, why = f"{option}: {word!r} is not allowed", f"it must be a whole number {allowed}"
    fix = f"did you mean {nearest}?" if nearest else remark or f"see `{where} --help`"
    if isinstance(error, click.MissingParameter) and context and context.command.epilog:
        example = context.command.epilog.splitlines()[2].strip()
        fix = f"such as {example} (`{where} --help` has more)"
    if "unexpected extra argument" in message:
        flags = " ".join(f"{flag} …" for flag in ("--data", "--model") if flag in _flags(context))
        fix = _in_pairs(arguments) or (f"name them: {flags}" if flags else fix)
    several = "unexpected extra argument" in message or "give one network" in message
    if several and (named := _named_file(arguments, context)):
        fix = named
    elif any(word == "-" or "->" in word for word in arguments) and not nearest:
        # The shell has split the notation, and taken the word after > as the name of a file to write.
        fix = f"put the notation in quotes: {where} '7x7x1 -> conv 3x3'"
    elif several and (size := next((word for word in arguments if re.fullmatch(r"\d+(x\d+)+", word)), "")):
        fix = f"--input {size}" if "--input" in _flags(context) else fix
    return kind(message[:1].lower() + message[1:], where=where, why=why, fix=fix)
