"""The catalogue: every known network under its name, with who invented it, when, and the published numbers.

One family per file in this folder. A file declares its `Family` and marks each builder with `@model(...)`;
nothing else lists it, so a new model is one new file. Looking one name up imports only the file whose name
is the longest prefix of it (`resnet18` -> `resnet.py`). This module knows no network; the files know no
other file, save where one family grew out of another.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from striate import elsewhere, hooks
from striate.diagnostics import NotationError, UnknownNameError, suggest
from striate.network import Network
from striate.op import registry, spelling
from striate.signatures import explain_misuse
from striate.tensor import warn_of_axes

Image = tuple[int, int, int]
"""The size of one image: (C, H, W)."""

Build = TypeVar("Build", bound=Callable[..., Network])


@dataclass(frozen=True)
class Family:
    """A family of networks: one idea, one paper."""

    name: str
    year: int
    paper: str
    """Authors, title, venue."""
    new: str
    """What was new, in one sentence."""
    url: str = ""
    source: str = ""
    """Where the published numbers of its models come from."""
    initializer: str = "kaiming"
    """How its weights start: a name of `striate.weights.INITIALIZERS`."""


@dataclass(frozen=True)
class Entry:
    """One network of the catalogue; `params` and `gmacs` are as published, None where they were not published."""

    name: str
    family: Family
    params: int | None
    gmacs: float | None
    input: Image
    build: Callable[..., Network]
    """(input: Image, num_classes: int, **options) -> Network."""
    note: str = ""
    """What a reader must know about this entry: what differs from the paper, what the numbers include."""
    params_with: Mapping[str, Any] = field(default_factory=dict)
    gmacs_with: Mapping[str, Any] = field(default_factory=dict)
    """The options under which the published numbers were counted, where they are not the defaults."""

    @property
    def options(self) -> dict[str, Any]:
        """What `create` accepts besides the input, with the defaults: `num_classes` and the switches."""
        parameters = inspect.signature(self.build).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not p.empty}


OUTSIDE: Mapping[str, str] = {
    r"yolo|ssd(lite)?\d|faster_?rcnn|mask_?rcnn|retinanet|(rt_?)?detr|centernet|fcos":
        "it is a detector; the catalogue has networks that classify and segment",
    r"(vit|swin|deit|beit|maxvit|clip|dino|bert|gpt|llama|t5|whisper|sam)(v?\d|[_-]|$)":
        "it is a transformer; Striate is for convolutional networks",
    r"(lstm|gru|rnn)(\d|[_-]|$)": "it is a recurrent network; Striate is for convolutional networks",
    r"(stable_?diffusion|sdxl|(dc|style|cycle)?gan|vae|ddpm)(\d|[_-]|$)":
        "it generates images; the catalogue has networks that classify and segment",
}  # fmt: skip
"""Pattern of names of networks that are no part of the catalogue -> why."""

_entries: dict[str, Entry] = {}


def model(
    name: str,
    *,
    family: Family,
    input: Image = (3, 224, 224),
    params: int | None = None,
    gmacs: float | None = None,
    note: str = "",
    params_with: Mapping[str, Any] | None = None,
    gmacs_with: Mapping[str, Any] | None = None,
) -> Callable[[Build], Build]:
    """Put the decorated builder `(input, num_classes=…) -> Network` into the catalogue under `name`.

    `params` is the published number of trainable parameters; `gmacs` the published 1e9 multiply-accumulates
    of convolutions and fully connected layers at `input`, rounded as printed there.
    """

    def register(build: Build) -> Build:
        if name in _entries:
            raise ValueError(f"two models are called {name}: {_entries[name].build!r} and {build!r}")
        _entries[name] = Entry(
            name, family, params, gmacs, input, build, note, params_with or {}, gmacs_with or {}
        )
        return build

    return register


def _stems() -> list[str]:
    names = (module.name for module in pkgutil.iter_modules(sys.modules["striate.models"].__path__))
    return [stem for stem in names if stem != "catalogue" and not stem.startswith("_")]


def _import(stem: str) -> None:
    importlib.import_module(f"striate.models.{stem}")


def entries(pattern: str = "*") -> tuple[Entry, ...]:
    """All entries whose name matches the glob `pattern`, oldest family first: the history."""
    for stem in _stems():
        _import(stem)
    matches = [entry for entry in _entries.values() if fnmatchcase(entry.name, pattern)]
    return tuple(sorted(matches, key=lambda entry: (entry.family.year, entry.family.name)))


@explain_misuse
def list_models(pattern: str = "*") -> tuple[str, ...]:
    """Names of the catalogue's networks that match a shell pattern, oldest family first.

    Raises nothing; the tuple is empty if no name matches.

    >>> import striate as st
    >>> st.list_models("lenet*")
    ('lenet5', 'lenet5_1998')
    """
    return tuple(entry.name for entry in matching(pattern))


def matching(pattern: str) -> tuple[Entry, ...]:
    """The entries whose name or family matches a pattern of the shell, capitals or not, oldest family first."""
    return tuple(
        entry
        for entry in entries()
        if any(fnmatchcase(name.lower(), pattern.lower()) for name in (entry.name, entry.family.name))
    )


def get(name: str) -> Entry:
    """The entry called `name`. Raises UnknownNameError, with the nearest name."""
    if name not in _entries:
        module_stem = max((stem for stem in _stems() if name.startswith(stem)), key=len, default=None)
        if module_stem is not None:
            _import(module_stem)
    if name not in _entries:
        names = list_models()
        if name not in names:
            if scope := next((why for names, why in OUTSIDE.items() if re.match(names, name.lower())), ""):
                raise UnknownNameError(
                    f"no model is called {name!r}",
                    why=scope,
                    fix="`striate models` lists the catalogue; networks of others are read from .onnx files",
                )
            nearest = next((one for one in names if one.endswith(f"_{name}")), "") or suggest(name, names)
            raise UnknownNameError(
                f"no model is called {name!r}",
                why="no name or family in the catalogue matches",
                fix=f"{nearest!r} is the nearest name" if nearest else "`striate models` lists them",
            )
    return _entries[name]


@explain_misuse
def create(
    name: str, input: str | Image | None = None, num_classes: int | None = None, **options: Any
) -> Network:
    """Build a network of the catalogue by its name.

    input: (C, H, W), "64x64x3", "64x64" or "64" (pixels), by default that of the paper; num_classes: the number of
    outputs; options: switches of the network's family, such as `aux=True`; for an unknown one the error lists the
    others. `striate models NAME` names the paper. Raises UnknownNameError for an unknown name or option, NotationError
    for an input that is not three sizes.

    >>> import striate as st
    >>> st.create("lenet5").input.shape
    (1, 1, 32, 32)
    """
    entry = get(name)
    image: Image | None = hooks.ask("size", input, entry.input) if isinstance(input, str) else input
    if image is not None and (len(image) != 3 or min(image) < 1):
        raise NotationError(
            f"{name}: no image has the sizes {', '.join(map(str, image))}",
            why="an image has three sizes of 1 or more: channels, height, width",
            fix=f"input={entry.input}",
        )
    if image is not None and image[0] != entry.input[0]:
        warn_of_axes(image, in_notation=False)
    if num_classes is not None:
        options["num_classes"] = num_classes
    allowed = entry.options
    for option in options:
        if option not in allowed:
            raise UnknownNameError(
                f"{name} has no option {option!r}",
                why=f"its options are {', '.join(allowed) or 'none'}",
                fix=suggest(option, allowed) or "leave it out",
            )
    return entry.build(tuple(image or entry.input), **options)


def instead(package: str, name: str) -> str:
    """What to write for a name that a package of Striate does not have; empty if nothing is known."""
    if name.startswith("_") or package not in ("striate", "striate.models"):
        return ""
    if package == "striate" and name in elsewhere.PACKAGE:
        return elsewhere.PACKAGE[name]
    if (word := spelling.op_word(name, registry())) in registry():
        return f"write st.ops.{registry()[word].__name__}(…)"
    return f'write st.create("{name.lower()}")' if name.lower() in list_models() else ""
