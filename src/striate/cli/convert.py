"""`striate convert`: a network, with its weights, as a file that others read."""

from __future__ import annotations

from typing import Any

import click

from striate.cli.options import (
    emit_json,
    examples,
    input_option,
    json_option,
    model_argument,
    weights_option,
)
from striate.diagnostics import plural


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
@click.option("--raw", is_flag=True, help="Write an .onnx file without the normalization of images.")
@json_option
def command(
    model: str, out: str, input: Any, weights: str | None, seed: int, raw: bool, as_json: bool
) -> None:
    """Convert MODEL to the format of OUT's suffix.

    .onnx (opset 17) and .safetensors hold network and weights, .toml and .py (PyTorch source) only the network, .pth
    and .pt (PyTorch state dict) only the weights. A weights file can be converted to another weights format.

    The .onnx file of a trained model takes images in the range of its training data and normalizes them; with --raw it
    takes normalized images.

    Weights come from --weights, or from MODEL itself (.onnx, .keras, .h5, .safetensors that Striate wrote, a
    torch.nn.Module, a run folder); otherwise they are initialized.
    """
    from striate.formats import convert

    result = convert(model, out, weights, input=input, seed=seed, raw=raw)
    for note in result.notes:
        click.echo(note, err=True)
    net = result.network
    if as_json:
        emit_json(
            {
                "schema": "striate.convert/1",
                "out": out,
                "network": net.name if net is not None else None,
                "nodes": len(net.nodes) if net is not None else 0,
                "tensors": result.tensors,
                "weights": result.weights or None,
                "bytes": result.bytes,
            }
        )
        return
    parts = [plural(len(net.nodes), "node")] if net is not None else []
    parts += [plural(result.tensors, "tensor")] if result.weights else []
    parts += [f"weights {result.weights}"] if net is not None and result.weights else []
    if result.weights.startswith("fresh"):
        parts.append("which are random numbers: --weights FILE gives trained ones")
    click.echo(f"{out}: {', '.join(parts)}")
