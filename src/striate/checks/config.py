"""Settings of checks: defaults, `[tool.striate]` of a pyproject.toml, then the command line.

The fields of `Config` are the only list of settings; keys of the table are their names with hyphens.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from striate.diagnostics import FormatError, Severity, SourceError, UnknownNameError, suggest
from striate.fields import Declared, Meta, Unsuited, amount, choice, count, declare, memory, path, register
from striate.files import parse_toml, read_bytes

SETTINGS = "pyproject.toml"
NEVER = "never"
EVERYTHING = "ALL"
RULES, VERDICT, MODELS = "rules", "verdict", "models"


@register("codes", lambda meta: "a list of codes, prefixes or names of rules")
def _codes(value: Any, meta: Meta) -> tuple[str, ...]:
    """Codes as a list or as one comma-separated text."""
    if isinstance(value, str):
        value = [word.strip() for word in value.split(",") if word.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise Unsuited
    return tuple(map(selector, value))


@register("models", lambda meta: 'a MODEL, or a list such as ["resnet18", "nets/*.toml"]')
def _models(value: Any, meta: Meta) -> tuple[str, ...]:
    """One MODEL, or a list; a text is never split at commas, because notations contain them."""
    models = [value] if isinstance(value, str) else value
    if not isinstance(models, list | tuple) or not all(isinstance(m, str) and m.strip() for m in models):
        raise Unsuited
    return tuple(models)


@register("sizes by input", lambda meta: 'an input size such as "224x224x3", or a table of sizes by input')
def _sizes_by_input(value: Any, meta: Meta) -> str | dict[str, str]:
    sizes = value.values() if isinstance(value, Mapping) else (value,)
    if not sizes or not all(isinstance(size, str) for size in sizes):
        raise Unsuited
    return {str(name): size for name, size in value.items()} if isinstance(value, Mapping) else str(value)


def _locate(model: str, folder: Path) -> str:
    """Convert the path of a model in a settings file to one relative to the current folder."""
    if _is_notation(model):
        return model
    path, colon, attribute = model, "", ""
    if not (folder / model).exists() and (folder / model.rpartition(":")[0]).is_file():
        path, colon, attribute = model.rpartition(":")
    if (folder / path).exists() or "/" in path or _is_pattern(path):
        path = os.path.relpath(folder / path)
    return path + colon + attribute


def _is_notation(model: str) -> bool:
    return "->" in model or "→" in model


def _is_pattern(model: str) -> bool:
    return any(mark in model for mark in "*?[") and not _is_notation(model) and not Path(model).exists()


@register("codes by node", lambda meta: 'a table such as { "stem.*" = ["P001"] }')
def _codes_by_node(value: Any, meta: Meta) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise Unsuited
    return {str(pattern): _codes(codes, meta) for pattern, codes in value.items()}


def selector(word: str) -> str:
    """A code ("P002"), a prefix ("P", "P0"), "ALL", or a rule's name; returns its canonical spelling.

    Raises UnknownNameError, with the nearest code or name, when no rule answers to it.
    """
    from striate.checks.rule import all_rules

    rules = all_rules()
    by_name = {name: rule.code for rule in rules for name in (rule.name, *rule.former)}
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


@dataclasses.dataclass(frozen=True)
class Config(Declared):
    """Settings of `check`: which rules count, which findings fail, and the limits of a network.

    select, extend_select, ignore: codes, prefixes or names; if they disagree about a code, the longer one wins,
    and `ignore` wins a tie. per_node_ignores: shell pattern of node names -> what is ignored there.
    fail_on: "error", "warning", "info" or "never". max_params, max_macs in ones, max_memory in bytes (peak of
    inference, batch of one). object_px: size in pixels of the things to be seen (R003). baseline: a baseline file.
    models: what `striate check` checks where no MODEL is named; input: their input size, as --input takes it.

    Raises UsageError for a value that a setting does not take, UnknownNameError for a rule that is not there.

    >>> import striate as st
    >>> config = st.CheckConfig(select=("C",), max_params="1k")
    >>> [finding.code for finding in st.check("8x8x3 -> flatten -> fc 100", config).findings]
    ['C001']
    """

    SEPARATOR: ClassVar[str] = "-"

    select: tuple[str, ...] = declare(
        "codes", (EVERYTHING,), "rules to check: codes, prefixes or names", RULES
    )
    extend_select: tuple[str, ...] = declare("codes", (), "additional rules: codes, prefixes or names", RULES)
    ignore: tuple[str, ...] = declare("codes", (), "rules to ignore: codes, prefixes or names", RULES)
    per_node_ignores: Mapping[str, tuple[str, ...]] = declare(
        "codes by node", dict, "rules to ignore on nodes whose names match a shell pattern", RULES
    )
    fail_on: str = choice(
        Severity.ERROR.value,
        (*(severity.value for severity in Severity), NEVER),
        "lowest severity that gives exit code 1",
        VERDICT,
    )
    max_params: int | None = amount(None, "budget of parameters (C001), such as 5M", VERDICT)
    max_macs: int | None = amount(None, "budget of multiply-accumulates (C001), such as 1.2G", VERDICT)
    max_memory: int | None = memory(None, "budget of peak memory in inference (C001), such as 64MiB", VERDICT)
    object_px: int | None = count(None, "size of the objects to recognize, in pixels (R003)", VERDICT)
    baseline: str | None = path(None, "baseline file of accepted findings", VERDICT)
    models: tuple[str, ...] = declare("models", (), "models to check if no MODEL is given", MODELS)
    input: str | Mapping[str, str] | None = declare(
        "sizes by input", None, "input size of these models", MODELS
    )

    def selects(self, code: str) -> bool:
        """Whether findings with this code ("G002") are reported."""
        reach = _reach(code, (*self.select, *self.extend_select))
        return reach > _reach(code, self.ignore)

    def ignores(self, code: str, node: str | None) -> bool:
        """Whether a finding with this code is ignored on this node."""
        return node is not None and any(
            fnmatch.fnmatchcase(node, pattern) and _reach(code, codes) >= 0
            for pattern, codes in self.per_node_ignores.items()
        )

    def fails(self, severity: Severity) -> bool:
        """Whether a finding of this severity makes the check fail."""
        return self.fail_on != NEVER and severity.rank >= Severity(self.fail_on).rank

    def files(self) -> tuple[str, ...]:
        """The `models`, patterns replaced by the files that match. Raises SourceError for one that matches none."""
        import glob

        files: list[str] = []
        for model in self.models:
            matches = [model]
            if _is_pattern(model):
                paths = (os.path.relpath(one) for one in sorted(glob.glob(model, recursive=True)))
                matches = [
                    one for one in paths if os.path.basename(one) != SETTINGS
                ]  # the settings file itself
            if not matches:
                raise SourceError(
                    f"no file matches {model}",
                    where="models of [tool.striate]",
                    why="patterns are relative to the folder of the pyproject.toml",
                    fix="correct the pattern, or remove it",
                )
            files += matches
        return tuple(dict.fromkeys(files))

    def replace(self, **settings: Any) -> Config:
        """A copy with other settings, as a user writes them; None leaves a setting unchanged.

        Raises UsageError for a value that a setting does not take, UnknownNameError for a setting that is not there.
        """
        values = {name: value for name, value in settings.items() if value is not None}
        return self.with_values(values, texts=True)

    @classmethod
    def read(cls, path: Path) -> Config | None:
        """The settings of `[tool.striate]` in a pyproject.toml at `path`, or None where it has no such table.

        Raises SourceError for a file that cannot be read, FormatError for one that is not TOML, UsageError for a value
        that a setting does not take.
        """
        content = read_bytes(path)
        if b"striate" not in content:  # not our file: its errors do not matter here
            return None
        tools = parse_toml(content, path).get("tool", {})
        table = tools.get("striate") if isinstance(tools, Mapping) else None
        if table is None:
            return None
        if not isinstance(table, Mapping):
            raise FormatError(
                "tool.striate is not a table",
                where=str(path),
                why=f"it is {table!r}",
                fix="write it as a table [tool.striate]",
            )
        config = cls().with_values(table, f"{path} [tool.striate]", texts=True)
        if config.baseline is not None:  # relative to the settings file
            config = dataclasses.replace(config, baseline=str(path.parent / config.baseline))
        if config.models:
            config = dataclasses.replace(
                config, models=tuple(_locate(one, path.parent) for one in config.models)
            )
        return config

    @classmethod
    def find(cls, start: Path | None = None) -> Config:
        """The settings of the nearest pyproject.toml with `[tool.striate]`; the defaults if there is none.

        start: the folder from which it is looked for upward, the current one by default. Raises what `read` raises.
        """
        here = (start or Path()).resolve()
        for folder in (here, *here.parents):
            file = folder / SETTINGS
            if file.is_file() and (config := cls.read(file)) is not None:
                return config
        return cls()


def _reach(code: str, selectors: Iterable[str]) -> int:
    """Length of the longest selector that covers a code; -1 when none does, 0 for ALL."""
    lengths = (
        0 if word == EVERYTHING else len(word)
        for word in selectors
        if word == EVERYTHING or code.startswith(word)
    )
    return max(lengths, default=-1)
