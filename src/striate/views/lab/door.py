"""Who is answered: requests to the page's own address, from its own pages, by a browser that was given the token.

A page of another site can send requests to a server on this machine. Host refuses names that were made to lead here
(DNS rebinding), Origin refuses other pages, other ports of this machine included, and the cookie refuses whoever was
not given the link.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

NAMES = ("127.0.0.1", "localhost", "[::1]")
"""Names of this machine's loopback interface."""
POLICY = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'unsafe-inline'", "img-src 'self' data: blob:",
    "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
))  # fmt: skip
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Headers of every answer."""

CLOSED = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>striate lab: not open</title>
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }}</style>
</head><body><main><h1>This page is not open</h1><p>{why}</p>
<p>Copy the whole link that <code>striate lab</code> printed in the terminal, its token included, into the address bar.
If you have done so, <a href="/">open the page again</a>.</p></main></body></html>
"""


class Door:
    """Passes on to `app` what may enter. port: that of the server; token: the one in the printed link."""

    def __init__(self, app: App, port: int) -> None:
        self.app = app
        self.hosts = tuple(f"{name}:{port}" for name in NAMES)
        self.token, self._session = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.cookie = f"striate-lab-{port}"  # cookies do not tell ports apart
        self._tickets: set[str] = set()

    @property
    def link(self) -> str:
        """The link that is printed."""
        return f"http://{self.hosts[0]}/?token={self.token}"

    def ticket(self) -> str:
        """A link that opens the page once: other users of this machine see the arguments of the browser's process."""
        ticket = secrets.token_urlsafe(32)
        self._tickets.add(ticket)
        return f"http://{self.hosts[0]}/?token={ticket}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI 3."""
        if scope["type"] != "http":
            return
        headers = _headers(scope)
        token = "".join(parse_qs(scope["query_string"].decode("latin-1")).get("token", [])[:1])
        if why := self._refusal(scope["method"], headers):
            await _refuse(scope, send, why)
        elif scope["path"] == "/" and token:
            if self._admits(token):
                cookie = f"{self.cookie}={self._session}; Path=/; HttpOnly; SameSite=Strict"
                await _answer(send, 303, "", {"location": "/", "set-cookie": cookie})
            else:
                await _refuse(
                    scope, send, "The token in this link is not the one of the running striate lab."
                )
        elif not _same(_cookies(headers.get("cookie", [])).get(self.cookie, ""), self._session):
            await _refuse(scope, send, "The link lacks its token.")
        else:
            await self.app(scope, receive, _with_headers(send))

    def _refusal(self, method: str, headers: Mapping[str, list[str]]) -> str:
        """Why a request does not come from the page itself; empty if it may."""
        hosts, origins = headers.get("host", []), headers.get("origin", [])
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return f"This server answers only requests to {self.hosts[0]}."
        if origins and origins != [f"http://{hosts[0].lower()}"]:
            return "The request comes from a page of another site."
        sites, modes = headers.get("sec-fetch-site", []), headers.get("sec-fetch-mode", [])
        ours = bool(origins) or sites == ["same-origin"]
        if method not in ("GET", "HEAD"):
            return "" if ours else "The request does not say which page it comes from."
        # A link elsewhere may lead here; a script or a picture of another page may not be one of this server.
        foreign = bool(sites) and not {*sites} <= {"same-origin", "none"}
        return "The request comes from a page of another site." if foreign and modes != ["navigate"] else ""

    def _admits(self, token: str) -> bool:
        if _same(token, self.token):
            return True
        for ticket in [*self._tickets]:
            if _same(token, ticket):
                self._tickets.discard(ticket)
                return True
        return False


def _same(one: str, other: str) -> bool:
    """Whether two secrets are equal, in a time that does not say how far they are."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _headers(scope: Scope) -> dict[str, list[str]]:
    """All values of each header."""
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _cookies(lines: list[str]) -> dict[str, str]:
    pairs = (pair.partition("=") for line in lines for pair in line.split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}


async def _refuse(scope: Scope, send: Send, why: str) -> None:
    await _answer(send, 403, CLOSED.format(why=why) if scope["method"] != "HEAD" else "", {})


async def _answer(send: Send, status: int, text: str, headers: Mapping[str, str]) -> None:
    content = text.encode()
    lines = {"content-type": "text/html; charset=utf-8", "content-length": str(len(content)), **headers}
    # What may not enter is not read either.
    lines["connection"] = "close"
    send = _with_headers(send)
    await send({
        "type": "http.response.start", "status": status,
        "headers": [(name.encode(), value.encode()) for name, value in lines.items()],
    })  # fmt: skip
    await send({"type": "http.response.body", "body": content})


def _with_headers(send: Send) -> Send:
    """Add the headers of every answer."""

    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return add
