"""Keys that stand for many: an axis, a name, a convention."""

from __future__ import annotations

from typing import Annotated


class Key(str):
    """A word for the keys of an object, which docs/json.md prints in their place."""


Axis = Annotated[str, Key("AXIS")]
Name = Annotated[str, Key("NAME")]
Convention = Annotated[str, Key("CONVENTION")]
