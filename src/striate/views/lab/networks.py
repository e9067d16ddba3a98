"""Networks that the page gives as a text or by a name: checked, fixed, drawn and compared.

A text is typed by hand and checked at every pause: its size is limited, so that no text keeps the page waiting. Nothing
that the page sends names a file.
"""

from __future__ import annotations

import collections
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from striate.checks import check
from striate.checks.fixing import apply_fix
from striate.diagnostics import FormatError, LimitError, StriateError, UnknownNameError, plural, suggest
from striate.files import exists
from striate.formats import load, notation, toml
from striate.formats.loaded import Loaded, structure
from striate.formats.rewriting import edit
from striate.formats.text_files import read_text
from striate.models import catalogue
from striate.views.lab.runs import Runs

if TYPE_CHECKING:
    from striate.checks.report import Report
    from striate.diagnostics import Diagnostic, Fix
    from striate.network import Network
    from striate.views.lab.bodies import Body
    from striate.views.page.model import ModelParts
    from striate.views.schemas.lab import LabComparison, LabFixed, LabPictures, LabRecord, LabViews
    from striate.views.schemas.networks import Show

Check: TypeAlias = "Callable[[Network], Report]"
MAX_TEXT = 400_000
"""Characters of a text."""
MAX_NODES = 2000
"""Nodes of a text, and of a network of which pictures are drawn: about a second."""
MAX_SIDE = 1 << 16
"""Positions along an axis of inputs, outputs, windows and padding: the time of some checks grows with them."""
MAX_READS = 30_000_000
"""Reads of one window along an axis: some checks count them."""
MAX_KEPT = 8
"""Networks that are kept: the page asks for several answers about one."""
START = (
    "32x32x3\n-> conv 5x5 6 -> relu -> maxpool 2\n-> conv 5x5 16 -> relu -> maxpool 2\n"
    "-> flatten\n-> fc 120 -> relu\n-> fc 84 -> relu\n-> fc 10"
)
"""The text of a page that was opened without a model."""
DRAWN = ("blocks", "graph", "pixels", "field", "layer", "fc")
"""Kinds of pictures that the page asks for."""
_TOML = re.compile(r"^[ \t]*\[\[?[ \t]*(network|node)\b", re.MULTILINE)  # within a line: blank ones are many


@dataclass(frozen=True)
class Source:
    """What names a network: its text or its name, and its input size where it differs."""

    text: str = ""
    model: str = ""
    input: str = ""

    @classmethod
    def of(cls, body: Body) -> Source:
        """The one in a request."""
        return cls(
            body.text("text", MAX_TEXT, ""), body.text("model", default=""), body.text("input", default="")
        )


@dataclass(frozen=True)
class Checked:
    """A network, and what a check of it has found. run: the folder of the run that it comes from."""

    net: Loaded
    report: Report
    text: str
    form: str
    run: Path | None = None

    @cached_property
    def parts(self) -> ModelParts:
        """What the page computes with; of a run, images of its data."""
        from striate.views.page.model import model_parts

        return model_parts(self.net, self.run, server=True)

    @property
    def show(self) -> Show:
        """striate.show/1; problems have the fixes of the check."""
        from striate.analysis import analyze
        from striate.views.json_records import checked_record

        return checked_record(analyze(self.net), self.report.findings)


class Networks:
    """The networks of a page.

    model: the MODEL that it was opened with, empty for none, and its input size; check: reports findings; runs: what
    the page can open besides the catalogue.
    """

    def __init__(
        self, model: str = "", input: Any = None, check: Check = check, runs: Runs | None = None
    ) -> None:
        self.start_name, self._check, self._runs = model, check, runs or Runs(Path.cwd(), model)
        start = load(model or START, input)
        self._own = "" if input else _own_text(start.source)
        self._start = self._checked(start, self._own, self._runs.folder(model))
        self._kept: collections.OrderedDict[Source, Checked] = collections.OrderedDict()
        self._lock = threading.Lock()

    @property
    def first(self) -> Source:
        """What the page shows when it is opened."""
        own = self._own or ("" if self.start_name else self._start.text)
        return Source(text=own) if own else Source(model=self.start_name)

    @property
    def first_view(self) -> str:
        """The view that the page opens with: of a run its training, of another MODEL the network, else the course."""
        if self._start.run:
            return "training"
        return "network" if self.start_name else "course"

    def find(self, source: Source) -> Checked:
        """The network of a source. Raises LimitError for one that is too large, and what reading it raises."""
        if source == self.first or (self.start_name and source == Source(model=self.start_name)):
            return self._start
        with self._lock:
            if source in self._kept:
                self._kept.move_to_end(source)
                return self._kept[source]
        checked = self._checked(self._read(source), source.text, self._runs.folder(source.model))
        with self._lock:
            self._kept[source] = checked
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return checked

    # -- answers -------------------------------------------------------------------------------------------------

    def record(self, source: Source) -> LabRecord:
        """The network, checked."""
        from striate.views.page.record import live_record, run_record

        checked = self.find(source)
        form: Any = checked.form
        run = None
        if checked.run:
            from striate.views.html.run_part import run_part

            run = run_record(run_part(str(checked.run)))
            run["name"] = source.model or self.start_name  # as `runs` answers
        return {
            "page": live_record(checked.show, run, checked.parts),
            "text": checked.text,
            "form": form,
            "trained": checked.net.trained,
        }

    def pictures(self, source: Source, kinds: list[str], node: str, unit: tuple[int, ...]) -> LabPictures:
        """Pictures of it, by default those of a report. Raises what drawing raises."""
        from striate.views.drawing.request import Request
        from striate.views.html.network_part import figure, whole_kinds

        checked = self.find(source)
        _limit(checked.net)
        drawn: LabPictures = {"pictures": []}
        for kind in kinds or whole_kinds(checked.net):
            if kind not in DRAWN:
                raise UnknownNameError(
                    f"no picture {kind!r}",
                    why=f"there are {', '.join(DRAWN)}",
                    fix=f"write {suggest(kind, DRAWN) or DRAWN[0]}",
                )
            request = Request((node,) if node else (), unit)
            drawn["pictures"].append(figure(checked.net, kind, request, checked.report.findings).record)
        return drawn

    def views(self, source: Source) -> LabViews:
        """What views need of it besides the record: maps, fields, a comparison."""
        from striate.views.page.network import network_record

        checked = self.find(source)
        _limit(checked.net)
        return {"network": network_record(checked.net.network, checked.show)}

    def fix(self, source: Source, code: str, node: str | None, fix: str) -> LabFixed:
        """The text with a fix of one of its findings. Raises FormatError where the text cannot have it."""
        checked = self.find(source)
        size = source.input if source.text else ""  # of a model the text that is made of it says its size
        finding, chosen = _chosen(checked.report, code, node, fix)
        network = _applied(checked.net.network, finding, chosen)
        if not checked.text:
            raise FormatError(
                f"{checked.net.name} has no text to change",
                why="an operator of it is known by name alone",
                fix=f"change {self.start_name or 'it'} where it was made",
            )
        if chosen.input is not None and size:
            return {"text": checked.text, "input": notation.format_size(chosen.input)}
        if checked.form == "toml":
            return {"text": edit(checked.text, network, size or None), "input": size}
        if size:  # the text keeps its own
            network = network.with_input(notation.parse(checked.text).input.without_batch)
        return {"text": notation.to_notation(network), "input": size}

    def compare(self, a: Source, b: Source) -> LabComparison:
        """What changed from one network to another."""
        from striate.views.diff_record import diff_record
        from striate.views.drawing.comparison import diff_picture

        one, other = self.find(a), self.find(b)
        for checked in (one, other):
            _limit(checked.net)
        shows = one.show, other.show
        return {
            "diff": diff_record(*shows),
            "svg": diff_picture((one.net.network, other.net.network), shows).svg,
        }

    # -- reading -------------------------------------------------------------------------------------------------

    def _read(self, source: Source) -> Loaded:
        size = source.input or None
        if source.model:
            if source.model == self.start_name:
                return load(source.model, size)
            if folder := self._runs.folder(source.model):
                return load(str(folder), size)
            if source.model in catalogue.list_models():  # never a file
                net = structure(load(source.model, size))
                _limit(net)
                return net
            near = suggest(source.model, catalogue.list_models())
            raise UnknownNameError(
                f"no model is called {source.model[:80]!r}",
                why="the page opens models of the catalogue, runs below its folder, and the MODEL of its command",
                fix=f"did you mean {near}?" if near else f"striate lab {source.model[:80]}",
            )
        parse = toml.parse if _TOML.search(source.text) else notation.parse
        network = parse(source.text, input=size)
        _limit(network)
        return structure(network)

    def _checked(self, net: Loaded, text: str, run: Path | None) -> Checked:
        report = self._check(net.network)
        if text:
            return Checked(net, report, text, "toml" if _TOML.search(text) else "notation")
        return Checked(net, report, *_written(net), run)


def _own_text(source: str) -> str:
    """The text that a MODEL is, or that its file holds; empty for others."""
    if exists(Path(source)):
        return read_text(Path(source)) if source.lower().endswith(".toml") else ""
    return source if notation.is_notation(source) else ""


def _written(net: Loaded) -> tuple[str, str]:
    """A text of a network and its form: notation for a chain, else TOML; empty if neither can say it."""
    forms: tuple[tuple[str, Callable[[Network], str]], ...] = (
        ("notation", notation.to_notation),
        ("toml", toml.format),
    )
    for form, write in forms:
        try:
            text = write(net.network)
            if len(text) <= MAX_TEXT:
                return text, form
        except StriateError:
            continue
    return "", ""


def _limit(net: Network) -> None:
    """Raises LimitError for a network that would keep the page waiting."""
    known = net.inference
    sides = [size for spec in known.specs.values() for size in spec.spatial_sizes]
    windows = [w for declaration in known.declarations.values() for w in declaration.windows.values()]
    sides += [max(w.extent, w.before, w.after) for w in windows]
    reads = max((w.taps * w.output for w in windows), default=0)
    if reads > MAX_READS:
        raise LimitError(
            f"a window reads {reads:,} times along an axis",
            where=net.name,
            why=f"the page takes at most {MAX_READS:,}: kernel x output",
            fix="use a smaller kernel or input",
        )
    if len(net.nodes) > MAX_NODES or max(sides, default=0) > MAX_SIDE:
        large = (
            plural(len(net.nodes), "node")
            if len(net.nodes) > MAX_NODES
            else f"{max(sides):,} pixels on a side"
        )
        raise LimitError(
            f"the network has {large}",
            where=net.name,
            why=f"the page takes at most {MAX_NODES:,} nodes and {MAX_SIDE:,} pixels on a side",
            fix="use the command line: striate check FILE",
        )


def _chosen(report: Report, code: str, node: str | None, fix: str) -> tuple[Diagnostic, Fix]:
    for finding in report.findings:
        for one in finding.fixes if (finding.code, finding.node) == (code, node) else ():
            if one.text == fix:
                return finding, one
    raise FormatError(
        "the text has no such finding any more",
        where=node or "",
        why=f"a check does not report {code[:20]} with the fix {fix[:80]!r}",
        fix="check it again",
    )


def _applied(network: Network, finding: Diagnostic, fix: Fix) -> Network:
    if fix.input is None and not fix.change:
        raise FormatError(
            "this fix is made by hand",
            where=finding.where,
            why=f"{fix.text!r} is advice, and more than one change of the text follows it",
            fix="edit the text",
        )
    return apply_fix(network, fix)
