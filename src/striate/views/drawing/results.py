"""What pictures of results are made of: the histories and the evaluation that are given, or that run folders hold."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.diagnostics import UsageError, by_reader, plural
from striate.train.evaluation import Evaluation
from striate.train.history import History
from striate.train.run_results import evaluation_of, history_of
from striate.views.evaluation_record import evaluation_record

if TYPE_CHECKING:
    from striate.views.drawing.request import Request
    from striate.views.schemas.scene import ResultScene
    from striate.views.schemas.training import Evaluation as EvaluationRecord


def scene_of(kind: str, source: Any, request: Request) -> ResultScene:
    """The scene of a kind of RESULTS.

    source: a History or an Evaluation, the path of a run folder, or a list of them for the kind `training`. Raises
    UsageError for anything else, and what reading raises.
    """
    from striate.views.drawing.scene import result_scene

    sources = list(source) if isinstance(source, list | tuple) else [source]
    if kind == "training":
        histories = [_history(one) for one in sources]
        return result_scene(kind, _title(histories), histories, request)
    if len(sources) != 1:
        raise UsageError(
            f"{kind} shows one evaluation",
            where=f"striate draw --kind {kind}",
            why=f"there are {plural(len(sources), 'source')}",
            fix="draw one at a time",
        )
    record = _evaluation(kind, sources[0])
    return result_scene(kind, record["model"] or "evaluation", record, request)


def _history(source: Any) -> History:
    if isinstance(source, History):
        return source
    if isinstance(source, str | os.PathLike):
        return history_of(Path(source))
    raise _other("training", source, "a history", "give what fit has returned, or the path of a run folder")


def _evaluation(kind: str, source: Any) -> EvaluationRecord:
    if isinstance(source, Evaluation):
        return evaluation_record(source)
    if isinstance(source, str | os.PathLike):
        record: Any = evaluation_of(Path(source))
        return record  # type: ignore[no-any-return]
    raise _other(
        kind, source, "an evaluation", "give what evaluate has returned, or the path of a run folder"
    )


def _other(kind: str, source: Any, what: str, fix: str) -> UsageError:
    return UsageError(
        f"{type(source).__name__} is not {what}",
        where=by_reader(f'st.draw(…, "{kind}")', f"striate draw --kind {kind}"),
        why=f"the kind {kind} shows results, not networks",
        fix=fix,
    )


def _title(histories: list[History]) -> str:
    if len(histories) > 1:
        return f"training of {plural(len(histories), 'run')}"
    if not histories:
        raise UsageError(
            "there is no run", why="the list is empty", fix="give at least one history or run folder"
        )
    return str(histories[0].out or "training")
