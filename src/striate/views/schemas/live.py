"""The record of the live page. web/src/record.ts is derived from it.

The second argument of `Annotated` is the meaning that docs/json.md prints. No command loads this file: it is for type
checkers and for those pages.
"""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from striate.views.schemas.networks import Show


class CourseLine(TypedDict):
    """A statement of the course and the view that shows it."""

    title: Annotated[str, "a few words"]
    text: Annotated[str, "the statement"]
    route: Annotated[str, "fragment of the address that opens it, `#layer?n=7&f=3`"]


class PagePicture(TypedDict):
    """A picture of the network, laid out and drawn by Python."""

    kind: Annotated[str, "kind of the picture"]
    caption: Annotated[str, "what it shows"]
    svg: Annotated[str, "the SVG element; a group with `data-node` holds what stands for a node"]


class LivePage(TypedDict):
    """Inside the page of `striate report`, in a script element of type `application/json`"""

    schema: Annotated[str, "`striate.page/1`"]
    version: Annotated[str, "version of Striate"]
    course: Annotated[list[CourseLine], "the lines of the course in their order"]
    palettes: Annotated[dict[str, list[str]], "color maps, low to high: `counts`, `signed`, `gray`"]
    show: Annotated[Show, "`striate.show/1` of the network"]
    pictures: NotRequired[
        Annotated[list[PagePicture], "pictures of the network; a report has them in the page instead"]
    ]
