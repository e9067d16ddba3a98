"""The catalogue as a timeline, for the live page: facts, and a picture of the best-known network of each family.

Both are read from a file that `make docs` writes: building and drawing all families takes seconds.
"""

from __future__ import annotations

import base64
import json
import zlib
from importlib import resources
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate.views.schemas.live_views import HistoryFamily, LiveHistory

FILE = "history.json"
BEST_KNOWN = {
    "VGG": "vgg16", "ResNet": "resnet50", "RegNet": "regnet_y_1_6gf", "MnasNet": "mnasnet1_0",
    "ShuffleNet V2": "shufflenet_v2_x1_0",
}  # fmt: skip
"""Family to the entry that is drawn, where it is not the first."""


def history_record() -> LiveHistory:
    """The timeline as the page holds it."""
    text = (resources.files("striate.views") / "static" / FILE).read_text("ascii")
    stored: dict[str, Any] = json.loads(text)
    pictures = json.dumps(stored["pictures"], separators=(",", ":")).encode()
    return {
        "families": stored["families"],
        "pictures": base64.b64encode(zlib.compress(pictures, 9)).decode(),
    }


def history_text() -> str:
    """What the file holds: the families of the catalogue, and a picture for each."""
    from striate.models.catalogue import create
    from striate.views.drawing.scene import scene
    from striate.views.drawing.svg import svg

    families = _families()
    pictures = {
        family["shown"]: svg(scene(create(family["shown"]), "blocks")["drawing"], ids="history-").rstrip("\n")
        for family in families
    }
    return json.dumps({"families": families, "pictures": pictures}, indent=1) + "\n"


def _families() -> list[HistoryFamily]:
    from striate.models.catalogue import entries

    families: list[HistoryFamily] = []
    for family, group in groupby(entries(), key=lambda entry: entry.family):
        models = list(group)
        families.append(
            {
                "name": family.name,
                "year": family.year,
                "paper": family.paper,
                "url": family.url,
                "new": family.new,
                "models": [
                    {
                        "name": e.name,
                        "params": e.params,
                        "gmacs": e.gmacs,
                        "input": list(e.input),
                        "note": e.note,
                    }
                    for e in models
                ],
                "shown": BEST_KNOWN.get(family.name, models[0].name),
            }
        )
    return families
