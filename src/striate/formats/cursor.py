"""A position in the tokens of a notation, and errors that point at it."""

from __future__ import annotations

from collections.abc import Sequence

from striate.diagnostics import NotationError
from striate.formats.tokens import Kind, Token, excerpt


class Cursor:
    """A position in the tokens of a text, and errors that point at it."""

    def __init__(self, source: str, tokens: Sequence[Token]) -> None:
        self.source = source
        self.tokens = tokens
        self.at = 0
        self.spellings: dict[str, str] = {}
        """Names from other frameworks found in the text -> Striate's names."""
        self.in_call = False
        """Whether a comma separates the arguments of a call, and not the numbers of a list."""

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def ahead(self, steps: int = 1) -> Token:
        return self.tokens[min(self.at + steps, len(self.tokens) - 1)]

    def take(self) -> Token:
        token = self.token
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    @property
    def last(self) -> Token:
        """The last token consumed."""
        return self.tokens[max(self.at - 1, 0)]

    def accept_arrow(self) -> bool:
        """Consume `->` if it is next; return whether it was."""
        accepted = self.token.kind is Kind.ARROW
        if accepted:
            self.take()
        return accepted

    def accept(self, mark: str) -> bool:
        """Consume `mark` if it is next; return whether it was."""
        accepted = self.token.is_(mark)
        if accepted:
            self.take()
        return accepted

    def where(self, first: Token | None = None, last: Token | None = None) -> str:
        first = first or self.token
        return excerpt(self.source, first.start, (last or first).end)

    def fail(
        self, what: str, why: str, fix: str, first: Token | None = None, last: Token | None = None
    ) -> NotationError:
        return NotationError(what, where=self.where(first, last), why=why, fix=fix)
