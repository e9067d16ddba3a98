"""`striate models`: the catalogue, which is the history."""

from __future__ import annotations

import click

from striate.cli.options import emit, emit_json, examples, json_option, page
from striate.diagnostics import UnknownNameError, suggest


@click.command(
    short_help="The catalogue as a timeline.",
    epilog=examples(
        "striate models", "striate models 'resnet*'", "striate models --json | jq '.models[].name'"
    ),
)
@click.argument("glob", required=False, default="*")
@json_option
def command(glob: str, as_json: bool) -> None:
    """List the catalogue as a timeline: year, family, paper, what was new, parameters, MACs.

    GLOB chooses names (or families): 'resnet*', 'VGG'.
    """
    from striate.models.catalogue import list_models
    from striate.views.json_records import models_record

    record = models_record(glob)
    if not record["models"]:
        nearest = suggest(glob.strip("*?"), list_models())
        raise UnknownNameError(
            f"no model matches {glob!r}",
            where="striate models",
            why="no name or family in the catalogue matches",
            fix=f"did you mean {nearest}?" if nearest else "`striate models` lists them",
        )
    if as_json:
        emit_json(record)
        return
    from striate.views.text import models as view

    out = page()
    view.draw(out, record["models"])
    emit(out)
