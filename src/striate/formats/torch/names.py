"""Names in PyTorch source: of classes, of modules inside modules, and inside text.

A module that holds parameters keeps its name, because parameters are found by it; any other gets a name that Python
allows.
"""

from __future__ import annotations

import dataclasses
import itertools
import keyword
import re
from collections.abc import Collection
from typing import Any

from striate.diagnostics import FormatError

RESERVED = frozenset(
    """T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches
    eval extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict
    modules mtia named_buffers named_children named_modules named_parameters parameters register_backward_hook
    register_buffer register_forward_hook register_forward_pre_hook register_full_backward_hook
    register_full_backward_pre_hook register_load_state_dict_post_hook register_load_state_dict_pre_hook
    register_module register_parameter register_state_dict_post_hook register_state_dict_pre_hook requires_grad_
    set_extra_state set_submodule share_memory state_dict to to_empty train training type xpu zero_grad""".split()  # noqa: SIM905
)
"""Attributes of torch.nn.Module: a submodule with such a name would never be called."""


@dataclasses.dataclass(frozen=True)
class Spot:
    """Place of a submodule: path from its class, and whether it is an attribute there."""

    path: str
    plain: bool

    @property
    def call(self) -> str:
        """The expression that forward calls."""
        return f"self.{self.path}" if self.plain else f"self.get_submodule({self.path!r})"

    def creation(self, tree: Any) -> tuple[str, Any]:
        """The statement that creates it, as (text before the tree, tree)."""
        if self.plain:
            return f"self.{self.path} = ", tree
        parent, _, name = self.path.rpartition(".")
        holder = Spot(parent, _is_python(parent)).call if parent else "self"
        return "", (f"{holder}.add_module", [repr(name), tree])

    @property
    def holders(self) -> tuple[str, ...]:
        """The enclosing paths, outermost first."""
        return tuple(itertools.accumulate(self.path.split(".")[:-1], "{}.{}".format))


def choose_spot(name: str, fixed: bool, used: Collection[str]) -> Spot:
    """Choose the place for a module of this name. fixed: the name must stay. Raises FormatError if torch does not
    allow it.
    """
    parts = name.split(".")
    if fixed:
        wrong = [part for part in parts if part in RESERVED or part.startswith("__") or not part]
        if wrong:
            raise FormatError(
                f"PyTorch cannot hold a module named {name!r}",
                where=name[:80],
                why=f"{wrong[0]!r} is an attribute of torch.nn.Module"
                if wrong[0]
                else "a part of the name is empty",
                fix="rename the node",
            )
        return Spot(name, _is_python(name))
    if len(parts) == 1 and name not in RESERVED and not name.startswith("__") and name not in used and name:
        return Spot(name, _is_python(name))
    candidate = attribute(name)
    while candidate in used or candidate in RESERVED:
        candidate += "_"
    return Spot(candidate, True)


def _is_python(path: str) -> bool:
    """True if a path is valid Python; 0 and block1-0 are not."""
    return all(
        part.isascii() and part.isidentifier() and not keyword.iskeyword(part) for part in path.split(".")
    )


def attribute(name: str) -> str:
    """The nearest name that Python allows."""
    text = re.sub(r"\W", "_", name, flags=re.ASCII).lstrip("_")
    text = f"_{text}" if not text or text[0].isdigit() else text
    return f"{text}_" if keyword.iskeyword(text) else text


def printable(name: str) -> str:
    """Replace the characters of a name that are unsafe in a docstring."""
    return re.sub(r"[^\w .,:;()+*/-]", "_", name)[:80]


def class_word(name: str) -> str:
    """Convert a name to a class name."""
    words = [part[:1].upper() + part[1:] for part in re.split(r"[^0-9A-Za-z]+", name) if part]
    word = "".join(words) or "Net"
    return f"Net{word}" if word[0].isdigit() else word
