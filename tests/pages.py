"""Parts of pages that follow from the source: they stand between marks, and `make golden` writes them."""

import re


def filled(page, sections):
    """The page with each section between its marks replaced."""
    for name, text in sections.items():
        begin, end = (re.search(rf"<!-- {word}: {re.escape(name)}.*?-->", page) for word in ("begin", "end"))
        page = f"{page[: begin.end()]}\n{text}\n{page[end.start() :]}"
    return page
