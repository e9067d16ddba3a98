"""`striate convert`: a network, with its weights, as a file that others read."""

from __future__ import annotations

import click

from striate.cli.options import examples, input_option, load, model_argument


@click.command(
    short_help="Write a network and its weights in another format.",
    epilog=examples(
        "striate convert resnet18 resnet18.onnx",
        "striate convert model.onnx model.toml",
        "striate convert model.onnx weights.safetensors",
        "striate convert net.toml net.onnx --weights weights.safetensors",
        "striate convert net.toml net.py",
        "striate convert weights.pth weights.safetensors",
    ),
)
@model_argument
@click.argument("out", type=click.Path(), metavar="OUT")
@input_option
@click.option(
    "--weights", "given", type=click.Path(), metavar="FILE", help="Weights to take (.safetensors .pth)."
)
@click.option("--seed", type=int, default=0, help="Seed of fresh weights, where the model has none.")
def command(model: str, out: str, input: str | None, given: str | None, seed: int) -> None:
    """Write MODEL to OUT, in the format of OUT's suffix.

    .onnx (opset 17) holds network and weights, .toml and .py (PyTorch source) the network, .safetensors and .pth (state
    dict of PyTorch) the weights. A file of weights is converted to another one by itself.

    Weights come from --weights, else from MODEL itself (.onnx, a torch.nn.Module, the folder of a saved model), else
    they are fresh.
    """
    from pathlib import Path

    from striate.formats.exchange import STRUCTURE, holds_weights, read_weights, writer

    write = writer(out)
    if holds_weights(model) and holds_weights(out):
        tensors = read_weights(model)
        write(Path(out), None, tensors)  # type: ignore[arg-type] # weights alone
        click.echo(f"{out}: {len(tensors)} tensors")
        return
    net = load(model, input)
    if Path(out).suffix.lower() in STRUCTURE:
        write(Path(out), net, {})
        click.echo(f"{out}: {len(net.nodes)} nodes")
        if net.weights is not None or given is not None or (Path(model) / "config.json").is_file():
            click.echo(f"the weights are not in {out}; convert to .pth or .safetensors for them", err=True)
        return
    from striate.model import Model

    if given is not None:
        made = Model(net, weights=given, engine="numpy")
        source = given
    elif (Path(model) / "config.json").is_file():
        made, source = Model.load(model, engine="numpy"), model
    else:
        made, source = Model(net, seed, engine="numpy"), model if net.weights else f"fresh, seed {seed}"
    write(Path(out), made.net, made.weights.current())
    click.echo(f"{out}: {len(net.nodes)} nodes, {len(made.weights)} tensors, weights {source}")
