"""What stands in an HTML page, as tests ask for it: its elements, well nested, and their texts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
"""Elements without an end."""


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    def __iter__(self):
        """The elements inside it, in the order of the page."""
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self if element.tag in tags]

    def at(self, key: str) -> Element:
        """The element with this id."""
        (found,) = [element for element in self if element.attributes.get("id") == key]
        return found

    @property
    def text(self) -> str:
        """Its text, spaces folded."""
        parts = (child if isinstance(child, str) else child.text for child in self.children)
        return " ".join("".join(parts).split())

    def rows(self) -> list[list[str]]:
        """The rows of a table's body."""
        return [
            [cell.text for cell in row.all("th", "td")]
            for body in self.all("tbody")
            for row in body.all("tr")
        ]

    def table(self, caption: str) -> Element:
        """The table whose caption begins so."""
        (found,) = [t for t in self.all("table") if t.all("caption")[0].text.startswith(caption)]
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag, attrs):
        element = self._add(tag, attrs)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        assert any(element.tag == "svg" for element in self.open), f"<{tag}/> outside of a picture"
        self._add(tag, attrs)

    def handle_endtag(self, tag):
        assert tag == self.open[-1].tag, f"</{tag}> ends <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data):
        self.open[-1].children.append(data)

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")

    def _add(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"<{tag}> says an attribute twice"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        return element


def elements(text: str) -> Element:
    """The page, read strictly: every element ends where it was opened."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert len(reader.open) == 1, f"<{reader.open[-1].tag}> has no end"
    return reader.root


def references(root: Element) -> list[str]:
    """Everything that the page refers to: links, images, definitions of colors."""
    found = []
    for element in root:
        for name, value in element.attributes.items():
            if name in ("href", "src", "xlink:href", "action", "data", "srcset", "poster"):
                found.append(value)
            found += re.findall(r"url\(([^)]*)\)", value)
        if element.tag == "style":
            found += re.findall(r"url\(([^)]*)\)|@import", element.text)
    return found
