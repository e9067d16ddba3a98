"""`striate convert`: a network, with its weights, as a file that others read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from striate.cli.options import (
    emit_json,
    examples,
    input_option,
    json_option,
    load,
    model_argument,
    weights_option,
)
from striate.diagnostics import UsageError, plural

if TYPE_CHECKING:
    from striate.network import Network


@click.command(
    short_help="Write a network and its weights in another format.",
    epilog=examples(
        "striate convert resnet18 resnet18.onnx",
        "striate convert model.onnx model.toml",
        "striate convert runs/mine mine.onnx",
        "striate convert net.toml net.onnx --weights weights.safetensors",
        "striate convert net.toml net.py",
        "striate convert weights.pth weights.safetensors",
    ),
)
@model_argument
@click.argument("out", type=click.Path(), metavar="OUT")
@input_option
@weights_option
@click.option("--seed", type=int, default=0, help="Seed for initial weights, if the model has none.")
@click.option("--raw", is_flag=True, help="Leave the normalization of images out of an .onnx file.")
@json_option
def command(
    model: str, out: str, input: Any, weights: str | None, seed: int, raw: bool, as_json: bool
) -> None:
    """Write MODEL to OUT, in the format of OUT's suffix.

    .onnx (opset 17) and .safetensors hold network and weights, .toml and .py (PyTorch source) the network, .pth and .pt
    (state dict of PyTorch) the weights. A file that holds weights alone can become another such file.

    An .onnx file of a trained model takes images in the range of its training data and normalizes them itself; with
    --raw it takes normalized images.

    Weights come from --weights, or from MODEL itself (.onnx, .keras, .h5, .safetensors that Striate wrote, a
    torch.nn.Module, a run folder); otherwise they are initialized.
    """
    from striate.formats.exchange import STRUCTURE, holds_network, holds_weights, read_weights, writer

    write = writer(out)
    for given in filter(None, (model, weights)):
        if _same(given, out):
            raise UsageError(
                f"{given} would be written over itself",
                where="striate convert",
                why="OUT is one of the files that are read",
                fix="give OUT another name",
            )
    net: Network | None = None
    tensors: Mapping[str, Any] = {}
    source = ""
    if holds_weights(model) and holds_weights(out) and not holds_network(model):
        if input or weights:
            raise UsageError(
                f"{model} holds weights alone",
                where="striate convert",
                why=f"{'--input' if input else '--weights'} is about a network",
                fix="leave it out, or name the network as MODEL",
            )
        tensors, source = read_weights(model), model
        write(Path(out), None, tensors, {}, raw)
    elif Path(out).suffix.lower() in STRUCTURE:
        net = load(model, input)
        write(Path(out), net, {}, {}, raw)
        if net.weights is not None or weights is not None:
            click.echo(f"the weights are not in {out}; convert to .safetensors or .onnx for them", err=True)
    else:
        from striate.model import Model

        made = Model(model, seed, weights=weights, input=input, engine="numpy")
        net, tensors = made.net, made.weights.current()
        source = weights or (model if net.weights is not None else f"fresh, seed {seed}")
        made.export(out, raw=raw)
    record = {
        "schema": "striate.convert/1",
        "out": out,
        "network": net.name if net else None,
        "nodes": len(net.nodes) if net else 0,
        "tensors": len(tensors),
        "weights": source or None,
        "bytes": Path(out).stat().st_size,
    }
    if as_json:
        emit_json(record)
        return
    said = [plural(cast(int, record["nodes"]), "node")] if net else []
    said += [f"{plural(len(tensors), 'tensor')}"] if source else []
    said += [f"weights {source}"] if net and source else []
    click.echo(f"{out}: {', '.join(said)}")


def _same(one: str, other: str) -> bool:
    """Whether two names mean the same file."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # one of them is not a file, or not there yet
        return False
