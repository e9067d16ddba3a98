"""Single layers, as networks of one op in notation: DeepBench's list, and the convolutions of well-known networks."""

from __future__ import annotations

from collections.abc import Iterator

DEEPBENCH = """
700x161x1 32 20x5 0 2 · 341x79x32 32 10x5 0 2 · 480x48x1 16 3x3 1 1 · 240x24x16 32 3x3 1 1 · 120x12x32 64 3x3 1 1
60x6x64 128 3x3 1 1 · 108x108x3 64 3x3 1 2 · 54x54x64 64 3x3 1 1 · 27x27x128 128 3x3 1 1 · 14x14x128 256 3x3 1 1
7x7x256 512 3x3 1 1 · 224x224x3 64 3x3 1 1 · 112x112x64 128 3x3 1 1 · 56x56x128 256 3x3 1 1
28x28x256 512 3x3 1 1 · 14x14x512 512 3x3 1 1 · 224x224x3 64 7x7 3 2 · 28x28x192 32 5x5 2 1
28x28x192 64 1x1 0 1 · 14x14x512 48 5x5 2 1 · 7x7x832 128 5x5 2 1 · 56x56x64 256 1x1 0 1 · 56x56x64 256 1x1 0 2
14x14x1024 256 1x1 0 1 · 14x14x1024 2048 1x1 0 2 · 7x7x2048 512 1x1 0 1 · 350x80x64 64 3x3 1 1
84x20x256 512 5x5 1 2
"""
"""W x H x C, filters, filter W x H, padding, stride. Source: baidu-research/DeepBench, convolutions, inference and
training on servers; the batch is this benchmark's own."""

NETWORKS = ("resnet18", "resnet50", "vgg16", "mobilenet_v2")


def deepbench() -> Iterator[str]:
    """
    >>> next(deepbench())
    '161x700x1 -> conv 5x20 32 /2'
    """
    for line in DEEPBENCH.strip().replace("\n", " · ").split(" · "):
        size, filters, kernel, pad, stride = line.split()
        w, h, c = size.split("x")
        kw, kh = kernel.split("x")
        words = [f"{h}x{w}x{c} -> conv {kh}x{kw} {filters}"]
        words += [f"/{stride}"] if stride != "1" else []
        words += [f"pad {pad}"] if pad != "0" else []
        yield " ".join(words)


def convolutions(name: str) -> Iterator[str]:
    """The convolutions of a network, each with a bias, as they are once batch norm is folded."""
    import dataclasses

    import striate as st

    net = st.create(name)
    for node in net.nodes:
        if node.op.word == "conv":
            yield f"{net.specs[node.inputs[0]]} -> {dataclasses.replace(node.op, bias=True)}"


def layers() -> list[str]:
    """All of them, each once, DeepBench's first."""
    found = [*deepbench(), *(layer for name in NETWORKS for layer in convolutions(name))]
    return list(dict.fromkeys(found))
