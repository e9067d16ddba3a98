"""Records of the catalogue, the rules, their findings, and converted files.

The second argument of `Annotated` is the meaning that docs/json.md prints. No command loads this file: it is for type
checkers and for that page.
"""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from striate.views.schemas.networks import Finding


class ModelEntry(TypedDict):
    name: Annotated[str, "what `MODEL` may be"]
    year: Annotated[int, "of the family's paper"]
    family: Annotated[str, "family"]
    paper: Annotated[str, "authors, title, venue"]
    url: Annotated[str, "where to read it"]
    new: Annotated[str, "what was new"]
    params: Annotated[int | None, "as published, null if not published"]
    gmacs: Annotated[float | None, "1e9 MACs at `input`, as published"]
    input: Annotated[list[int], "its own input"]
    note: Annotated[str, "note on the entry"]


class ModelList(TypedDict):
    """`striate models [GLOB] --json`, oldest first"""

    schema: Annotated[str, "`striate.models/1`"]
    models: list[ModelEntry]


class Conversion(TypedDict):
    """`striate convert MODEL OUT --json`."""

    schema: Annotated[str, "`striate.convert/1`"]
    out: Annotated[str, "the file that was written"]
    network: Annotated[str | None, "the network's name; null for a conversion of weights alone"]
    nodes: Annotated[int, "its nodes"]
    tensors: Annotated[int, "arrays of weights in the file"]
    weights: Annotated[str | None, "source of the weights; null if the format holds none"]
    bytes: Annotated[int, "size of the file"]


class CodeEntry(TypedDict):
    code: Annotated[str, "code"]
    name: Annotated[str, "name of the defect"]
    severity: Annotated[str, "`error`, `warning` or `info`"]
    family: Annotated[str, "theme of the code's letter"]
    what: Annotated[str, "the defect"]


class RuleEntry(CodeEntry):
    why: Annotated[str, "why it matters"]
    fix: Annotated[str, "the fix"]
    source: Annotated[str, "reference"]
    bad: Annotated[str, "a network that the rule reports"]
    good: Annotated[str, "a network that it does not report"]
    settings: Annotated[dict[str, Any], "settings that the examples need"]
    says: Annotated[str, "what `striate check` prints for `bad`"]


class Rules(TypedDict):
    """`striate explain CODE... --json`, `striate explain --all --json`; errors have the first five keys only."""

    schema: Annotated[str, "`striate.rules/1`"]
    rules: list[RuleEntry | CodeEntry]


class CheckFinding(Finding):
    """A list: `striate check MODEL... --output-format json`."""

    network: Annotated[str, "the network's name"]
    file: Annotated[str | None, "file that defines the node"]
    line: Annotated[int | None, "its line"]
