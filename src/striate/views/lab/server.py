"""Runs the lab's server: a socket on the loopback interface, the browser, and the end by Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import uvicorn

from striate.diagnostics import SourceError, StriateError
from striate.views.lab.app import Lab
from striate.views.lab.door import Door
from striate.views.lab.networks import Check

LOOPBACK = "127.0.0.1"
SECONDS_TO_END = 1
"""Time that answers under way have when the server ends."""
MAX_CONNECTIONS = 200


def serve(
    model: str, input: Any, check: Check, port: int | None, browser: bool, say: Callable[[str], None]
) -> None:
    """Serve the page of a model until Ctrl-C.

    check: reports findings; port: None for a free one; browser: open the page; say: prints the link.
    Raises SourceError for a port that is in use, and what loading the model raises.
    """
    lab = Lab(model, input, check)
    try:
        with _listening(port) as listener:
            door = Door(lab.app(), listener.getsockname()[1])
            server = uvicorn.Server(
                uvicorn.Config(
                    door, loop="asyncio", http="h11", ws="none", lifespan="off", log_config=None, access_log=False,
                    log_level="error" if os.environ.get("STRIATE_TRACEBACK") else "critical",
                    proxy_headers=False, server_header=False, timeout_graceful_shutdown=SECONDS_TO_END,
                    limit_concurrency=MAX_CONNECTIONS,
                )
            )  # fmt: skip
            say(door.link)
            if browser:
                threading.Thread(target=_open, args=(door.ticket(),), daemon=True).start()
            with warnings.catch_warnings(), contextlib.suppress(KeyboardInterrupt):
                warnings.simplefilter("ignore")  # notes on texts that are being typed
                server.run(sockets=[listener])
    finally:
        lab.close()


def _listening(port: int | None) -> socket.socket:
    """A socket that takes connections already: a browser that is fast waits for the answer."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # which answers at once
    try:
        if os.name == "posix":  # elsewhere it lets two servers have one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port or 0))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise _taken(port or 0, error) from None
    return listener


def _taken(port: int, error: OSError) -> StriateError:
    return SourceError(
        f"port {port} cannot be used",
        where=f"{LOOPBACK}:{port}",
        why=error.strerror or str(error),
        fix="leave out --port, which takes a free one",
    )


def _open(link: str) -> None:
    """Open the page, unless the only browser is one of the terminal, which would take it over."""
    import webbrowser

    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("BROWSER")
    if sys.platform.startswith("linux") and not display:
        return
    with contextlib.suppress(Exception):
        webbrowser.open(link)
