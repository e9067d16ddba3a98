"""Dataclasses of declared fields: messages, TOML, and what flags and pages are made from."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from striate import elsewhere
from striate.diagnostics import StriateError, UnknownNameError, UsageError, suggest
from striate.fields.declare import MISSING
from striate.fields.kinds import AUTO, Unsuited, parse, read, takes
from striate.signatures import ExplainMisuse, called_name


def shown(value: Any) -> str:
    """A value for a message, cut when long."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"


def refusal(
    name: str, value: Any, problem: Unsuited, where: str, doc: str, error: type[StriateError] = UsageError
) -> StriateError:
    """The error of a value that a field does not take."""
    return error(
        f"{name} must be {problem} (got {shown(value)})",
        where=where,
        why=f"{name}: {doc}",
        fix=f"did you mean {problem.near}?" if problem.near else f"correct it, or leave out {name}",
    )


def toml(value: Any) -> str:
    """A field's value as TOML."""
    import json  # start-up counts

    match value:
        case None:
            return f'"{AUTO}"'
        case bool():
            return "true" if value else "false"
        case tuple() | list():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            return f"{{{', '.join(f'{toml(key)} = {toml(item)}' for key, item in value.items())}}}"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


@dataclasses.dataclass(frozen=True)
class Option:
    """One field as the command line and the documentation see it. takes: its values in words."""

    name: str
    kind: str
    default: Any
    doc: str
    group: str
    takes: str
    choices: tuple[str, ...] = ()
    auto: bool = False

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def shown(self) -> str:
        """Its default as a person would type it."""
        if self.default is None and not self.auto:
            return "none"
        if isinstance(self.default, tuple):
            return ",".join(map(str, self.default)) or "none"
        return toml(self.default).strip('"')


def options(cls: Any) -> Iterator[Option]:
    """Every field that a dataclass declares, in order."""
    for field in dataclasses.fields(cls):
        meta = field.metadata
        default = field.default if field.default_factory is MISSING else field.default_factory()
        facts = {key: meta[key] for key in ("kind", "doc", "group")}
        yield Option(
            field.name, default=default, takes=takes(meta), choices=meta.get("options", ()),
            auto=meta.get("auto", False), **facts,
        )  # fmt: skip


def markdown(rows: Iterable[Option], separator: str = "_", flags: Collection[str] | None = None) -> str:
    """Options as a table of a page. separator: between the words of a key; flags: those that a command has, or all."""
    lines = ["| key | flag | default | what it does | takes |", "|---|---|---|---|---|"]
    for row in rows:
        flag = f"`{row.flag}`" if flags is None or row.flag in flags else ""
        lines.append(
            f"| `{row.name.replace('_', separator)}` | {flag} | {row.shown} | {row.doc} | {row.takes} |"
        )
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Declared(metaclass=ExplainMisuse):
    """Base of frozen dataclasses whose fields are declared: every value is checked, and can be changed by name."""

    SEPARATOR: ClassVar[str] = "_"
    """Separator of the words of a name in files and messages; both are accepted."""
    ELSEWHERE: ClassVar[Mapping[str, str]] = {}
    """What other tools call a field -> ours, an argument of the function that takes these settings, or what to do."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not field.default:
                object.__setattr__(
                    self, field.name, _check(field, value, self._spell(field.name), "settings", False)
                )

    def with_values(self, values: Mapping[str, Any], where: str = "settings", texts: bool = False) -> Self:
        """The same with some values of TOML, JSON or Python. texts: a text may come from a flag.

        Raises UnknownNameError with the nearest name, UsageError with what a field takes.
        """
        fields = {field.name: field for field in dataclasses.fields(self)}
        changes = {}
        for key, value in values.items():
            name = key.replace("-", "_")
            if name not in fields:
                raise self._unknown(key, [*map(self._spell, fields)], where)
            changes[name] = _check(fields[name], value, self._spell(name), where, texts)
        return dataclasses.replace(self, **changes)

    @classmethod
    def unknown_setting(cls, name: str) -> UnknownNameError:
        """The error for an argument of the constructor that is not a setting."""
        return cls()._unknown(name, [field.name for field in dataclasses.fields(cls)], called_name(cls))

    def _spell(self, name: str) -> str:
        return name.replace("_", self.SEPARATOR)

    def _unknown(self, key: str, names: Sequence[str], where: str) -> UnknownNameError:
        other = self.ELSEWHERE.get(key.replace("-", "_"), "")
        if other.isidentifier():
            other = self._spell(other)
        if other not in names and where != "settings":  # it is said to someone who calls a function
            other = ""
        near = other or suggest(key.replace("-" if self.SEPARATOR == "_" else "_", self.SEPARATOR), names)
        return UnknownNameError(
            f"no such setting: {key}",
            where=where,
            why="" if near else f"the settings are {', '.join(names)}",
            fix=elsewhere.answer(near) if near else f"remove {key}",
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def toml(self) -> str:
        """All fields as lines of TOML, each with what it does, below the headings of their groups.

        None is left out where it does not mean "auto": TOML has no word for it.
        """
        lines: list[str] = []
        group = ""
        for option in options(type(self)):
            value = getattr(self, option.name)
            if value is None and not option.auto:
                continue
            if option.group != group:
                group = option.group
                lines += [""] * bool(lines) + [f"# {group}"]
            line = f"{self._spell(option.name)} = {toml(value)}"
            lines.append(f"{line:<32} # {option.doc}")
        return "\n".join(lines) + "\n"


def _check(field: dataclasses.Field[Any], value: Any, name: str, where: str, texts: bool) -> Any:
    try:
        return (parse if texts and isinstance(value, str) else read)(value, field.metadata)
    except Unsuited as problem:
        raise refusal(name, value, problem, where, field.metadata["doc"]) from None
    except StriateError as error:
        error.where = error.where or f"{where}: {name}"
        raise
