"""All ops, one family per file.

Nothing outside this package names an op. A family lists its ops in `__all__`; a new file is discovered on first use.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from striate.diagnostics import no_attribute, suggest
from striate.op import registry, spelling

if TYPE_CHECKING:  # families load on first use: a network needs few of them
    from striate.ops.activation import *  # noqa: F403
    from striate.ops.conv import *  # noqa: F403
    from striate.ops.functions import *  # noqa: F403
    from striate.ops.gather import *  # noqa: F403
    from striate.ops.linear import *  # noqa: F403
    from striate.ops.merge import *  # noqa: F403
    from striate.ops.norm import *  # noqa: F403
    from striate.ops.opaque import *  # noqa: F403
    from striate.ops.pool import *  # noqa: F403
    from striate.ops.rearrange import *  # noqa: F403
    from striate.ops.reduce import *  # noqa: F403
    from striate.ops.regularize import *  # noqa: F403
    from striate.ops.reshape import *  # noqa: F403
    from striate.ops.scalar import *  # noqa: F403
    from striate.ops.upsample import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """The op of a class name; `__all__` for those who import everything."""
    if name == "__all__":
        return __dir__()
    classes = {cls.__name__: cls for cls in registry().values()}
    if name not in classes:
        word = spelling.op_word(name, registry())
        near = registry()[word].__name__ if word in registry() else suggest(name, classes)
        fields = ", ".join(field.name for field in dataclasses.fields(classes[near])) if near else ""
        raise no_attribute(__name__, name, near and f"{near}({fields})")
    return classes[name]


def __dir__() -> list[str]:
    return sorted({cls.__name__ for cls in registry().values()})
