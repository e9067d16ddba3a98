"""The model card of a saved model: the network, its input and its results, as the README.md of its folder.

The front matter is that of Hugging Face's hub, so that the folder can be uploaded as a model repository.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from striate.diagnostics import leading, plural
from striate.network import Network

SHOWN_CLASSES = 20


def card(
    net: Network,
    classes: Sequence[str],
    transform: Mapping[str, Any],
    report: Mapping[str, Any] | None = None,
) -> str:
    """The card as Markdown. report: the record of report.json, if the model was trained in this folder."""
    params = sum(p.elements for p in net.parameters.values() if p.trainable)
    macs = sum(declaration.macs for declaration in net.declarations.values())
    names = leading(classes, SHOWN_CLASSES)
    facts = [
        ("network", f"{net.name}, {plural(len(net.nodes), 'node')}"),
        *_inputs(net),
        ("parameters", f"{params:,}"),
        ("multiply-accumulates", f"{macs:,} per image"),
        ("classes", f"{len(classes)}: {names}" if classes else "not named"),
    ]
    parts = [_front(report), f"# {_plain(net.name)}\n", _table(facts)]
    if transform:
        parts.append(f"## Image preprocessing\n\n```json\n{json.dumps(dict(transform), indent=1)}\n```\n")
    if report is not None:
        parts.append(_results(report))
    parts.append(
        "## Use\n\n```python\nimport striate as st\n\nmodel = st.Model.load('.')  # this folder\n```\n\n"
        "or `striate predict . IMAGE...`. The weights are in `model.safetensors`, with torchvision's names.\n"
    )
    return "\n".join(parts)


def _inputs(net: Network) -> list[tuple[str, str]]:
    """A row for each input, with its name if there are several."""
    words = {"D": "depth", "H": "height", "W": "width", "L": "length", "C": "channels"}
    rows = []
    for name, spec in net.inputs.items():
        axes = " x ".join(words[axis] for axis in (*spec.axes[2:], spec.axes[1]))
        read = f"{spec} ({axes}), float32, batches ({', '.join(spec.axes)})"
        rows.append((f"input {name}" if len(net.inputs) > 1 else "input", read))
    return rows


def _front(report: Mapping[str, Any] | None) -> str:
    lines = [
        "---",
        "library_name: striate",
        "tags:",
        "- image-classification",
        "- convolutional-neural-network",
    ]
    if report is not None and report.get("validation"):
        lines += ["metrics:", "- accuracy"]
    return "\n".join([*lines, "---", ""])


def _results(report: Mapping[str, Any]) -> str:
    data, validation = report["data"], report.get("validation")
    rows = [
        ("trained on", str(data["train"])),
        ("epochs", f"{report['epochs']}, the weights are those of epoch {report['kept_epoch']}"),
        ("seed", str(report["seed"])),
    ]
    if validation:
        rows += [
            ("validated on", f"{data['validation']} ({plural(validation['images'], 'image')})"),
            ("accuracy", f"{validation['accuracy']:.2%}"),
            ("loss", f"{validation['loss']:.4f}"),
            ("macro F1", f"{validation['macro_f1']:.4f}"),
            ("expected calibration error", f"{validation['calibration']['expected_calibration_error']:.4f}"),
        ]
    return f"## Training\n\n{_table(rows)}"


def _table(rows: Sequence[tuple[str, str]]) -> str:
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {_plain(value)} |\n" for name, value in rows)


def _plain(text: str) -> str:
    """Escape text, so that it cannot break a table or begin markup."""
    flat = " ".join(text.split())
    return "".join(f"\\{c}" if c in "|<>`*_[]#\\" else c for c in flat)
