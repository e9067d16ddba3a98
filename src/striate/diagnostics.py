"""Findings and errors: what failed, where, why, the smallest fix, and a code to look up.

Defines the form of a message; knows no rule and no op.

The exceptions (all have the same five parts; see `striate.cli` for exit codes)::

    StriateError
    ├── InternalError      I000  Striate itself failed; the message asks for a report
    ├── NotationError      I001  a word or number of the notation cannot be read
    ├── OpError            I002  an attribute of an op is not allowed (zero size, groups that do not divide)
    ├── GraphError         I003  a network is not a valid graph (cycle, dangling or repeated name)
    ├── FormatError        I004  a file was read but its content is inconsistent
    ├── SourceError        I005  a file or attribute is missing, a directory, or unreadable
    ├── UnknownNameError   I006  no such model, op, rule or node
    ├── MissingExtraError  I007  an optional part is not installed
    ├── LimitError         I008  a size or depth above a limit
    ├── UsageError         I009  arguments of a command or function are not allowed or do not go together
    ├── TrainingError      I010  training stopped: a loss or gradient is not finite, or the data ran out
    ├── EngineError        I011  this engine cannot run here; another one can
    └── ShapeError         G00x  a node has no output for this input (`striate check` reports it as a finding)
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

Entry = TypeVar("Entry")


class Severity(enum.StrEnum):
    """How much a finding matters; compare with `rank`."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        return {"error": 3, "warning": 2, "info": 1}[self.value]


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A line of a source file: where a node was created."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclasses.dataclass(frozen=True, slots=True)
class Fix:
    """One change that cures a finding.

    `change` maps op fields of `node` to new values, or `input` is a new network input (C, H, W).
    `safe` means that no output size, weight shape, window or padding mode of the network changes.
    """

    text: str
    safe: bool = False
    node: str | None = None
    change: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    input: tuple[int, ...] | None = None
    consequences: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name, as JSON holds them."""
        return {
            "text": self.text,
            "safe": self.safe,
            "node": self.node,
            "change": dict(self.change),
            "input": list(self.input) if self.input else None,
            "consequences": dict(self.consequences),
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding about a network or an input; `code` is looked up with `striate explain`.

    aspect: which of a rule's measures it is about ("params", "macs"). Findings of different aspects are never merged or
    confused.
    """

    code: str
    name: str
    severity: Severity
    message: str
    where: str = ""
    why: str = ""
    fixes: tuple[Fix, ...] = ()
    node: str | None = None
    place: Place | None = None
    aspect: str = ""

    def __str__(self) -> str:
        return render(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name, as JSON holds them: all but the place in a source file, which depends on the reader."""
        return {
            "code": self.code,
            "name": self.name,
            "severity": self.severity.value,
            "node": self.node,
            "where": self.where,
            "why": self.why,
            "message": self.message,
            "fixes": [fix.to_dict() for fix in self.fixes],
        }


def render(diagnostic: Diagnostic) -> str:
    """The five-part text of a finding, uncolored."""
    head = diagnostic.code + (f" {diagnostic.node}" if diagnostic.node else "") + f": {diagnostic.message}"
    rows = [("where", diagnostic.where), ("why", diagnostic.why)]
    rows.append(("fix", fix_line(diagnostic.fixes)))
    lines = [head]
    for label, text in rows:
        if text:
            first, *rest = text.splitlines()
            lines.append(f"  {label:<7} {first}")
            lines.extend(f"          {line}" for line in rest)
    # A lone surrogate from a file could not be written anywhere.
    return "\n".join(lines).encode("utf-8", "backslashreplace").decode()


def fix_line(fixes: Iterable[Fix]) -> str:
    """The fixes on one line; neighbors that change fields or the input and start with the same word share it.

    >>> fix_line([Fix("stride 1 (-> 5x5)", change={"stride": 1}), Fix("stride 2 (-> 3x3)", change={"stride": 2})])
    'stride 1 (-> 5x5) or 2 (-> 3x3)'
    """
    groups: list[tuple[str, str]] = []
    for fix in fixes:
        kind, _, rest = fix.text.partition(" ")
        first_word = kind if rest and (fix.change or fix.input) else ""
        if first_word and groups and groups[-1][0] == first_word:
            groups[-1] = (first_word, f"{groups[-1][1]} or {rest}")
        else:
            groups.append((first_word, fix.text))
    return " · ".join(text for _, text in groups)


class StriateError(Exception):
    """Base of all errors of Striate, in five parts: what failed, where, why, the smallest fix, and a code.

    what, where, why, fix: one of the parts each; code: instead of the class's own. Raises nothing by itself; the tree
    of errors stands at the top of `striate.diagnostics`.

    >>> import striate as st
    >>> try:
    ...     st.parse("8x8x3 -> conf 3x3")
    ... except st.StriateError as error:
    ...     error.code, error.fix
    ('I001', "did you mean 'conv'?")
    """

    code: str = "I000"
    title: ClassVar[str] = "error"
    exit_code: int = 2
    """Exit code of the command line."""

    def __init__(
        self, what: str, *, where: str = "", why: str = "", fix: str = "", code: str | None = None
    ) -> None:
        super().__init__(what)
        self.what, self.where, self.why, self.fix = what, where, why, fix
        if code is not None:
            self.code = code
        self.node: str | None = None
        self.place: Place | None = None

    @property
    def reason(self) -> str:
        """What is wrong and why in one line, for places that show no fix."""
        return "; ".join(filter(None, (self.what, self.why)))

    @property
    def diagnostic(self) -> Diagnostic:
        """The error as a finding, as `check` reports them."""
        fixes = (Fix(self.fix),) if self.fix else ()
        return Diagnostic(
            self.code,
            self.title,
            Severity.ERROR,
            self.what,
            self.where,
            self.why,
            fixes,
            self.node,
            self.place,
        )

    def at(self, node: str, where: str, place: Place | None = None) -> StriateError:
        """The same error with context from its caller: `node`, `where` and `place`. The innermost context wins."""
        self.node = self.node or node
        self.where = self.where or where
        self.place = self.place or place
        return self

    def __str__(self) -> str:
        return render(self.diagnostic)


class InternalError(StriateError):
    """A bug in Striate, not a mistake of the user."""

    code, title = "I000", "internal"


class NotationError(StriateError):
    """A word or number of the notation cannot be read."""

    code, title = "I001", "notation-not-understood"


class OpError(StriateError):
    """An attribute of an op is not allowed."""

    code, title = "I002", "attribute-without-meaning"


class GraphError(StriateError):
    """The nodes of a network do not form a valid graph."""

    code, title = "I003", "graph-not-followable"


class FormatError(StriateError):
    """The content of a file is inconsistent."""

    code, title = "I004", "content-not-understood"


class SourceError(StriateError):
    """A file or attribute is missing or cannot be read."""

    code, title = "I005", "source-not-readable"


class UnknownNameError(StriateError, KeyError):
    """A model, op, rule or node of this name does not exist. Also a KeyError, as for other lookups by name."""

    code, title = "I006", "unknown-name"


class MissingExtraError(StriateError):
    """An optional part is not installed."""

    code, title = "I007", "optional-part-missing"


class LimitError(StriateError):
    """A size or depth is above a limit."""

    code, title = "I008", "beyond-the-limit"


class UsageError(StriateError):
    """A command or function is called with a missing argument, or with options that contradict each other."""

    code, title = "I009", "usage"


class TrainingError(StriateError):
    """Training cannot continue: a loss or gradient is not finite, or the data has nothing to learn from."""

    code, title = "I010", "training-stopped"


class EngineError(StriateError):
    """An engine cannot run here: a part of it is missing, or it has no code for this processor."""

    code, title = "I011", "engine-cannot-run"


class ShapeError(StriateError):
    """A node has no output for this input; the code is the rule that describes it (G001, G003, G004)."""

    code, title = "G001", "no-output"


def suggest(word: str, known: Iterable[str]) -> str:
    """The known word that a mistyped one means: the first that starts with it, else the most similar, else "".

    >>> suggest("resnt18", ["resnet18", "resnet34"]), suggest("resnet", ["resnet18", "resnet34"])
    ('resnet18', 'resnet18')
    """
    import difflib  # only a mistake needs it

    names = list(known)
    by_lower = {name.lower(): name for name in names}
    if word.lower() in by_lower:
        return by_lower[word.lower()]
    if longer := next((name for name in by_lower if len(word) > 2 and name.startswith(word.lower())), ""):
        return by_lower[longer]
    close = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[close[0]] if close else ""


def unknown_key(owner: str, kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """The error for a `kind` that `owner` does not have; it names the nearest one and some others.

    >>> print(unknown_key("lenet5", "node", "conv3", ["conv1", "relu1"]).fix)
    write 'conv1'
    """
    names = [str(one) for one in known]
    near = suggest(str(name), names)
    return UnknownNameError(
        f"{owner} has no {kind} {str(name)[:80]!r}",
        where=f"{kind}s of {owner}",
        why=f"its {plural(len(names), kind)} {'is' if len(names) == 1 else 'are'} {few(names)}",
        fix=f"write {near!r}" if near else f"use one of the {kind}s: {few(names)}",
    )


class Named(dict[str, Entry]):
    """A dict whose KeyError suggests the nearest name.

    >>> Named({"conv1": 1}, owner="lenet5", kind="node")["conv1"]
    1
    """

    def __init__(self, entries: Any = (), owner: str = "it", kind: str = "entry") -> None:
        super().__init__(entries)
        self._of = owner, kind

    def __missing__(self, name: str) -> Entry:
        raise unknown_key(*self._of, name, self)

    def __reduce__(self) -> tuple[Any, ...]:
        return Named, (dict(self), *self._of)


def no_attribute(module: str, name: str, near: str, fix: str = "") -> AttributeError:
    """The error for a name that a module does not have. near: a similar name; fix: what to do instead; or neither."""
    hint = f"; {fix}" if fix else f"; did you mean {near}?" if near else ""
    return AttributeError(f"module {module!r} has no attribute {name!r}{hint}")


def few(names: Collection[Any]) -> str:
    """Names for a message, the first and the last of many."""
    texts = [str(name) for name in names]
    return ", ".join(texts if len(texts) <= 8 else [*texts[:6], "…", texts[-1]]) or "none"


def leading(names: Sequence[str], most: int) -> str:
    """The first names for a message, and a sign where there are more.

    >>> leading(["conv1", "conv2", "conv3"], 2)
    'conv1, conv2, …'
    """
    return ", ".join([*names[:most], *(["…"] if len(names) > most else [])])


def plural(n: int, word: str, many: str = "") -> str:
    """A count with its noun: 1 node, 2 nodes, 1,000 nodes; `many` is an irregular plural."""
    return f"{n:,} {word if n == 1 else many or word + 's'}"


def warn(text: str) -> None:
    """Warn at the line outside of Striate that led here, or at that of the command line, which prints it as a note."""
    import warnings  # start-up counts

    room = os.path.dirname(os.path.abspath(__file__)) + os.sep
    shell = os.path.join(room, "cli", "")
    depth, frame = 1, sys._getframe()
    while frame.f_back and frame.f_code.co_filename.startswith(room):
        if frame.f_code.co_filename.startswith(shell):
            break
        depth, frame = depth + 1, frame.f_back
    warnings.warn(text, stacklevel=depth)


_shell = False


@contextlib.contextmanager
def speaking_shell() -> Iterator[None]:
    """Spell arguments in messages as the shell takes them. The command line is the one caller."""
    global _shell
    before, _shell = _shell, True
    try:
        yield
    finally:
        _shell = before


def by_reader(python: str, shell: str) -> str:
    """What a message says to someone who calls Python, or to someone who types commands."""
    return shell if _shell else python


def setting(name: str, value: Any = None) -> str:
    """An argument as its reader types it; without a value its name alone.

    >>> setting("engine", "torch"), setting("batch_size")
    ('engine="torch"', 'batch_size')
    >>> with speaking_shell():
    ...     setting("engine", "torch"), setting("batch_size"), setting("amp", False)
    ('--engine torch', '--batch-size', '--no-amp')
    """
    if not _shell:
        return name if value is None else f"{name}={_as_python(value)}"
    flag = name.replace("_", "-")
    if value is None or isinstance(value, bool):
        return f"--no-{flag}" if value is False else f"--{flag}"
    if isinstance(value, Mapping):
        return " ".join(f"--{flag} {_quote(f'{key}={one}')}" for key, one in value.items())
    return f"--{flag} {_quote(str(value))}"


def _as_python(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_as_python(key)}: {_as_python(one)}' for key, one in value.items())}}}"
    if isinstance(value, bool | int | float):
        return repr(value)
    text = str(value)
    return repr(text) if '"' in text or not text.isprintable() or "\\" in text else f'"{text}"'


def _quote(text: str) -> str:
    import shlex  # only a mistake needs it

    return shlex.quote(text)


def printable(text: str, keep: str = "") -> str:
    """`text` with control characters and broken UTF-8 written as escapes, except the characters in `keep`.

    >>> printable("a\\tb")
    'a\\\\tb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)
