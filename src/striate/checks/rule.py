"""Base class of rules, and their registry: every `Rule` in the modules of `striate.checks.rules`.

A rule is one class: its name and docstring describe the fault; its attributes give the reason, the fix, the source, and
a bad and a good example that the tests run; `look` is its logic.
"""

from __future__ import annotations

import abc
import functools
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from striate.diagnostics import Diagnostic, Fix, Severity
from striate.network import Node

if TYPE_CHECKING:
    from striate.checks.context import Context

FAMILIES = {
    "G": "geometry: does it fit",
    "P": "padding and borders",
    "U": "use of pixels",
    "R": "receptive field",
    "C": "cost",
    "N": "network health",
    "X": "exchange between frameworks",
    "I": "input: what cannot be read",
}
"""First letter of a code -> theme of the family. A code is never reused."""


class Rule(abc.ABC):
    """One check. Subclasses are final: one per fault."""

    code: ClassVar[str]
    severity: ClassVar[Severity]
    why: ClassVar[str]
    fix: ClassVar[str]
    source: ClassVar[str]
    bad: ClassVar[str]
    """A network (notation, or `.toml` text with branches) that only this rule reports."""
    good: ClassVar[str]
    settings: ClassVar[Mapping[str, Any]] = {}
    """Settings of `Config` for the examples."""
    former: ClassVar[tuple[str, ...]] = ()
    """Earlier names, which settings may still have."""
    companions: ClassVar[tuple[str, ...]] = ()
    """Other codes that correctly report the bad example."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        all_rules.cache_clear()  # a rule may come after the first check

    @abc.abstractmethod
    def look(self, context: Context) -> Iterator[Diagnostic]:
        """Every finding of this rule in a network."""

    @property
    def name(self) -> str:
        """The fault as a slug: class StrideLosesPixels -> stride-loses-pixels."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", type(self).__name__).lower()

    @property
    def what(self) -> str:
        return inspect.cleandoc(type(self).__doc__ or "")

    @property
    def summary(self) -> str:
        """The first sentence of `what` on one line."""
        return " ".join(self.what.split("\n\n")[0].split())

    def text(self) -> str:
        """What, why, example, fix, source: what `striate explain` prints."""
        parts = [f"{self.code} {self.name} ({self.severity})", self.what, f"Why     {self.why}"]
        parts += [f"Bad{_example(self.bad, self.settings)}", f"Good{_example(self.good, self.settings)}"]
        parts += [f"Fix     {self.fix}", f"Source  {self.source}"]
        return "\n\n".join(parts)

    def markdown(self) -> str:
        """The same as a section in Markdown."""
        return "\n\n".join(
            [
                f"### {self.code} {self.name}",
                f"*{self.severity}*: {self.what}",
                f"**Why.** {self.why}",
                f"**Bad**{_fence(self.bad, self.settings)}",
                f"**Good**{_fence(self.good, self.settings)}",
                f"**Fix.** {self.fix}",
                f"**Source.** {self.source}",
            ]
        )

    def finding(
        self,
        context: Context,
        node: Node | None,
        message: str,
        *,
        why: str = "",
        fixes: Iterable[Fix] = (),
        where: str = "",
        severity: Severity | None = None,
        aspect: str = "",
    ) -> Diagnostic:
        """A finding of this rule on a node, or on the whole network."""
        return Diagnostic(
            code=self.code,
            name=self.name,
            severity=severity or self.severity,
            message=message,
            where=where or context.where(node),
            why=why or self.why,
            fixes=tuple(fixes) or (Fix(self.fix),),
            node=node.name if node else None,
            place=node.place if node else None,
            aspect=aspect,
        )


def _with(settings: Mapping[str, Any]) -> str:
    """The settings an example needs, as options of `striate check`."""
    return "".join(f" --{name.replace('_', '-')} {value}" for name, value in settings.items())


def _example(network: str, settings: Mapping[str, Any]) -> str:
    text = inspect.cleandoc(network)
    options = _with(settings)
    return f"{f' (striate check{options})' if options else ''}\n" + textwrap.indent(text, "        ")


def _fence(network: str, settings: Mapping[str, Any]) -> str:
    options = _with(settings)
    return f"{f' (`striate check{options}`)' if options else ''}\n```\n{inspect.cleandoc(network)}\n```"


@functools.cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule, by code."""
    from striate.checks import rules

    for module in pkgutil.iter_modules(rules.__path__, f"{rules.__name__}."):
        importlib.import_module(module.name)
    base: type[Any] = Rule  # abstract, unlike its leaves
    # A notebook may define a rule several times: the last one counts.
    last = {(rule.__module__, rule.__qualname__): rule for rule in _final(base)}
    instances = sorted((rule() for rule in last.values()), key=lambda rule: _order(rule.code))
    codes = [rule.code for rule in instances]
    if len(set(codes)) < len(codes):
        raise TypeError(f"a code is used twice: {codes}")
    return tuple(instances)


def _final(base: type[Any]) -> Iterator[type[Any]]:
    """The leaves of the class tree: a class is abstract or final."""
    below = base.__subclasses__()
    for cls in below:
        yield from _final(cls)
    if not below:
        yield base


def _order(code: str) -> tuple[int, str]:
    """Sort key: by family; user-defined families last."""
    letters = "".join(FAMILIES)
    return letters.find(code[0]) % (len(letters) + 1), code
