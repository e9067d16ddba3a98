"""The record of a picture, striate.scene/1: the facts of a network, and where every mark is on the canvas.

Facts come from the records that the other views read; a kind of picture lays them out. Every format (SVG, TikZ, an
image) is written from the marks, so that all of them show the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from striate.diagnostics import OpError, by_reader, unknown_key
from striate.views.drawing.kinds import ELSEWHERE, KINDS, RESULTS, kind_module, kinds_with
from striate.views.drawing.request import OPTIONS, Request
from striate.views.json_records import analysis_record, show_record

if TYPE_CHECKING:
    from striate.analysis import Analysis
    from striate.diagnostics import Diagnostic
    from striate.network import Network
    from striate.views.schemas.scene import ResultScene, Scene


def scene(
    net: Network,
    kind: str = "",
    request: Request | None = None,
    findings: Iterable[Diagnostic] = (),
    analysis: Analysis | None = None,
) -> Scene:
    """Schema striate.scene/1. kind: one of KINDS; empty: `maps` of an image, `graph` for a direction and
    where the network has branches and no bars are asked for, else `blocks`.

    findings: those of a check; analysis: of the network, where there is one.
    Raises UnknownNameError for an unknown kind or node, and what the kind raises.
    """
    request = request or Request()
    show = (
        analysis_record(analysis, findings) if analysis is not None else show_record(net, findings=findings)
    )
    for name in request.nodes:
        net.node(name)
    if not kind:
        kind = "graph" if request.right or (branched(net) and not request.cost) else "blocks"
        kind = "maps" if request.image is not None else kind
    if kind not in KINDS:
        error = unknown_key("striate draw", "kind", kind, [*KINDS, *RESULTS])
        error.why = f"its kinds are {', '.join([*KINDS, *RESULTS])}"
        if ours := ELSEWHERE.get(kind.lower().replace("-", "_")):
            error.fix = f"write {ours!r}"
        raise error
    fitting(kind, request)
    module = kind_module(kind)
    record: Any = {**show, "schema": "striate.scene/1", "facts": module.facts(net, show, request)}
    record["drawing"] = module.drawing(record, request)
    return record  # type: ignore[no-any-return]


def fitting(kind: str, request: Request) -> None:
    """Raises OpError for an option that means nothing in pictures of this kind."""
    for name in request.given():
        if name not in kind_module(kind).OPTIONS:
            option, takers = OPTIONS[name], kinds_with(name)
            raise OpError(
                f"the picture {kind} {option.refusal}",
                where=by_reader(f"st.draw(…, {option.argument}=…)", f"striate draw {option.flag}"),
                why=f"{option.why}; {option.flag} is for {', '.join(takers)}",
                fix=f"--kind {takers[0]}",
            )


def result_scene(kind: str, name: str, results: Any, request: Request | None = None) -> ResultScene:
    """Schema striate.scene/1 of a picture of results. kind: one of RESULTS; name: its title; results: what the kind
    takes, the histories of runs or the record of an evaluation. Raises what the kind raises.
    """
    module = kind_module(kind)
    record: Any = {"schema": "striate.scene/1", "name": name, "facts": module.facts(results)}
    record["drawing"] = module.drawing(record, request or Request())
    return record  # type: ignore[no-any-return]


def branched(net: Network) -> bool:
    """Whether a value is read twice, or a node reads several."""
    read = [value for node in net.nodes for value in node.inputs]
    return len(set(read)) < len(read) or any(len(node.inputs) > 1 for node in net.nodes)
