"""What to check and what to let pass: defaults, `[tool.striate]` of a pyproject.toml, then the command line.

The fields of `Config` are the only list of settings; keys of the table are their names with hyphens.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from striate.diagnostics import FormatError, Severity, SourceError, UnknownNameError, suggest

COUNT_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
BYTE_UNITS = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
NEVER = "never"
EVERYTHING = "ALL"


def _quantity(value: Any, units: Mapping[str, int], kind: str, example: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = (
        re.fullmatch(r"\s*(\d[\d_]*(?:\.\d+)?)\s*([A-Za-z]*)\s*", value) if isinstance(value, str) else None
    )
    unit = units.get(match[2].lower()) if match else None
    if match is None or unit is None:
        known = " ".join(sorted((unit for unit in units if unit), key=lambda unit: (units[unit], unit)))
        raise FormatError(
            f"not {kind}: {value!r}",
            why=f"a number is expected, with one of {known} or no unit",
            fix=f"write {example}",
        )
    return int(Fraction(match[1].replace("_", "")) * unit)


def count(value: Any) -> int:
    """A number of parameters or MACs: 5000000, "5M", "1.2G".

    >>> count("5M"), count("0.5k")
    (5000000, 500)
    """
    return _quantity(value, COUNT_UNITS, "a count", '"5M"')


def bytes_(value: Any) -> int:
    """A number of bytes: 65536, "64 KiB", "1.5GB".

    >>> bytes_("64MiB")
    67108864
    """
    return _quantity(value, BYTE_UNITS, "an amount of memory", '"64MiB"')


def _pixels(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if isinstance(value, str) and value.isdecimal() and int(value) > 0:
        return int(value)
    raise FormatError(
        f"not a number of pixels: {value!r}", why="a whole number above 0 is expected", fix="write 32"
    )


def _names(value: Any) -> tuple[str, ...]:
    """Codes as a list or as one comma-separated text."""
    if isinstance(value, str):
        value = [word.strip() for word in value.split(",") if word.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise FormatError(
            f"not a list of rule codes: {value!r}",
            why="codes or prefixes are expected",
            fix='write ["P002", "U"]',
        )
    return tuple(value)


def _selectors(value: Any) -> tuple[str, ...]:
    return tuple(selector(word) for word in _names(value))


def _per_node(value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise FormatError(
            f"not a table of node names: {value!r}",
            why="per-node-ignores maps a pattern of node names to rule codes",
            fix='write { "stem.*" = ["P001"] }',
        )
    return {str(pattern): _selectors(codes) for pattern, codes in value.items()}


def _threshold(value: Any) -> str:
    known = [*(severity.value for severity in Severity), NEVER]
    if value in known:
        return str(value)
    nearest = suggest(str(value), known)
    raise UnknownNameError(
        f"fail-on: no such severity: {value!r}",
        why=f"it is one of {', '.join(known)}",
        fix=f"did you mean {nearest}?" if nearest else f"write {known[0]}",
    )


def selector(word: str) -> str:
    """A code ("P002"), a prefix ("P", "P0"), "ALL", or a rule's name; returns its canonical spelling.

    Raises UnknownNameError, with the nearest code or name, when no rule answers to it.
    """
    from striate.checks.rule import all_rules

    rules = all_rules()
    by_name = {rule.name: rule.code for rule in rules}
    upper = word.upper()
    if upper == EVERYTHING or any(upper and rule.code.startswith(upper) for rule in rules):
        return upper
    if word.lower() in by_name:
        return by_name[word.lower()]
    nearest = suggest(word, [*(rule.code for rule in rules), *by_name])
    families = " ".join(sorted({rule.code[0] for rule in rules}))
    raise UnknownNameError(
        f"no such rule: {word}",
        why=f"a code, a prefix of codes ({families}), a rule's name or {EVERYTHING} is expected",
        fix=f"did you mean {nearest}?" if nearest else "striate explain --all lists them",
    )


def _setting(read: Callable[[Any], Any], default: Any = None, **more: Any) -> Any:
    return dataclasses.field(metadata={"read": read}, **(more or {"default": default}))


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of `check`: which rules count, which findings fail, and the limits of a network.

    select, extend_select, ignore: codes, prefixes or names; where they disagree about a code the longer one wins,
    and `ignore` wins a draw. per_node_ignores: shell pattern of node names -> what is ignored there.
    fail_on: "error", "warning", "info" or "never". max_params, max_macs in ones, max_memory in bytes (peak of
    inference, batch of one). object_px: size in pixels of the things to be seen (R003). baseline: a baseline file.

    Raises FormatError for a value that a setting does not take, UnknownNameError for a rule that is not there.

    >>> import striate as st
    >>> config = st.CheckConfig(select=("C",), max_params="1k")
    >>> [finding.code for finding in st.check("8x8x3 -> flatten -> fc 100", config).findings]
    ['C001']
    """

    select: tuple[str, ...] = _setting(_selectors, (EVERYTHING,))
    extend_select: tuple[str, ...] = _setting(_selectors, ())
    ignore: tuple[str, ...] = _setting(_selectors, ())
    per_node_ignores: Mapping[str, tuple[str, ...]] = _setting(_per_node, default_factory=dict)
    fail_on: str = _setting(_threshold, Severity.ERROR.value)
    max_params: int | None = _setting(count)
    max_macs: int | None = _setting(count)
    max_memory: int | None = _setting(bytes_)
    object_px: int | None = _setting(_pixels)
    baseline: str | None = _setting(str)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            usual = field.default if field.default is not dataclasses.MISSING else {}
            if value is not None and value != usual:
                object.__setattr__(self, field.name, field.metadata["read"](value))

    def selects(self, code: str) -> bool:
        """Whether findings with this code ("G002") are wanted at all."""
        wanted = _reach(code, (*self.select, *self.extend_select))
        return wanted > _reach(code, self.ignore)

    def ignores(self, code: str, node: str | None) -> bool:
        """Whether a finding with this code is ignored because of the node on which it sits."""
        return node is not None and any(
            fnmatch.fnmatchcase(node, pattern) and _reach(code, codes) >= 0
            for pattern, codes in self.per_node_ignores.items()
        )

    def fails(self, severity: Severity) -> bool:
        """Whether a finding of this severity makes the check fail."""
        return self.fail_on != NEVER and severity.rank >= Severity(self.fail_on).rank

    def replace(self, **settings: Any) -> Config:
        """The same with other settings, read from what a person wrote; None leaves a setting as it is.

        Raises FormatError for a value that a setting does not take, UnknownNameError for a setting that is not there.
        """
        return self._with({name: value for name, value in settings.items() if value is not None}, "settings")

    def _with(self, settings: Mapping[str, Any], where: str) -> Config:
        fields = {field.name.replace("_", "-"): field for field in dataclasses.fields(self)}
        changes = {}
        for key, value in settings.items():
            field = fields.get(key.replace("_", "-"))
            if field is None:
                nearest = suggest(key, fields)
                raise UnknownNameError(
                    f"no such setting: {key}",
                    where=where,
                    why=f"the settings are {', '.join(fields)}",
                    fix=f"did you mean {nearest}?" if nearest else f"remove {key}",
                )
            try:
                changes[field.name] = field.metadata["read"](value)
            except (FormatError, UnknownNameError) as error:
                error.where = error.where or f"{where}: {key}"
                raise
        return dataclasses.replace(self, **changes)

    @classmethod
    def read(cls, path: Path) -> Config | None:
        """The settings of `[tool.striate]` in a pyproject.toml at `path`, or None where it has no such table.

        Raises SourceError for a file that cannot be read, FormatError for a value that a setting does not take.
        """
        try:
            text = path.read_bytes()
        except OSError as error:
            raise SourceError(
                f"{path.name} cannot be read", where=str(path), why=str(error), fix="look at its permissions"
            ) from None
        if b"striate" not in text:  # someone else's file, perhaps broken: not our business
            return None
        import tomllib  # start-up counts

        try:
            document = tomllib.loads(text.decode("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise FormatError(
                f"{path.name} is not valid TOML", where=str(path), why=str(error), fix="correct that line"
            ) from None
        tools = document.get("tool", {})
        table = tools.get("striate") if isinstance(tools, Mapping) else None
        if table is None:
            return None
        if not isinstance(table, Mapping):
            raise FormatError(
                "tool.striate is not a table",
                where=str(path),
                why=f"it is {table!r}",
                fix="write [tool.striate]",
            )
        config = cls()._with(table, f"{path} [tool.striate]")
        if config.baseline is not None:  # named relative to the file that names it
            config = dataclasses.replace(config, baseline=str(path.parent / config.baseline))
        return config

    @classmethod
    def find(cls, start: Path | None = None) -> Config:
        """The settings of the nearest pyproject.toml with `[tool.striate]`; the defaults if there is none.

        start: the folder from which it is looked for upward, the current one by default. Raises what `read` raises.
        """
        here = (start or Path()).resolve()
        for folder in (here, *here.parents):
            path = folder / "pyproject.toml"
            if path.is_file() and (config := cls.read(path)) is not None:
                return config
        return cls()


def _reach(code: str, selectors: Iterable[str]) -> int:
    """Length of the longest selector that covers a code; -1 when none does, 0 for ALL."""
    found = (
        0 if word == EVERYTHING else len(word)
        for word in selectors
        if word == EVERYTHING or code.startswith(word)
    )
    return max(found, default=-1)
