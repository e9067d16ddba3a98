"""The server's answers: the page, its module, and a JSON answer for each request of the page."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from striate.diagnostics import InternalError, LimitError, SourceError, StriateError
from striate.views.lab.activations import Activations, image
from striate.views.lab.bodies import MIB, Body, Refusal, parse, read
from striate.views.lab.experiment import Experiment, Unit, color, place, size, slides
from striate.views.lab.networks import DRAWN, Check, Networks, Source
from striate.views.lab.page import page
from striate.views.lab.runs import Runs
from striate.views.lab.worker import Worker
from striate.views.page.module import module

MAX_NAMES = 500
"""Nodes or kinds in one request."""
BODY_SECONDS = 30
"""Time in which a body arrives."""
CLOSED_REQUEST = 499
"""Status for a client that has gone, which it does not read."""
ENDED = 503
"""Status of what was under way when the server ended."""


@dataclass(frozen=True)
class Answer:
    """How a request is answered. job: makes the answer; worker: the thread that does; most: bytes of the body."""

    job: Callable[[Body], Any]
    worker: str = "checks"
    most: int = 2 * MIB


class Lab:
    """What the page of a model can ask.

    model, input: as the command was given them; check: reports findings; root: where runs are searched.
    """

    def __init__(self, model: str, input: Any, check: Check, root: Path | None = None) -> None:
        self.runs = Runs(root or Path.cwd(), model)
        self.networks = Networks(model, input, check, self.runs)
        self._activations = Activations(self.networks)
        self._hand, self._experiment = (
            Experiment(self.networks),
            Experiment(self.networks),
        )  # a thread for each
        self._workers = {
            name: Worker(name) for name in ("checks", "pictures", "views", "engine", "hand", "probe")
        }
        self.answers: Mapping[str, Answer] = {
            "record": Answer(lambda body: self.networks.record(Source.of(body))),
            "fix": Answer(self._fix),
            "explain": Answer(_explain),
            "run": Answer(lambda body: self.runs.run(body.text("name"), body.whole("since", 0, 10**9, 0))),
            "runs": Answer(lambda body: {"runs": self.runs.names()}),
            "views": Answer(lambda body: self.networks.views(Source.of(body)), "views"),
            "pictures": Answer(self._pictures, "pictures"),
            "compare": Answer(self._compare, "pictures", 4 * MIB),
            "activations": Answer(self._values, "engine", 32 * MIB),
            "electrode": Answer(self._electrode, "hand"),
            "respond": Answer(self._respond, "hand"),
            "protocol": Answer(lambda body: self._experiment.protocol(_unit(body)), "probe"),
            "pooled": Answer(lambda body: self._experiment.pooled(_unit(body), size(body)), "probe"),
            "border": Answer(lambda body: self._experiment.border(_unit(body)), "probe"),
        }

    def close(self) -> None:
        """End its threads."""
        for worker in self._workers.values():
            worker.close()

    def app(self) -> Starlette:
        """As an ASGI application, which answers whoever reaches it."""
        routes = [
            Route("/", self._page),
            *(Route(f"/{name}.js", _module(name)) for name in ("experiment", "striate", "lab")),
            Route("/api/{name}", self._answer, methods=["POST"]),
        ]
        app = Starlette(routes=routes)
        app.router.redirect_slashes = False
        return app

    async def _page(self, request: Request) -> Response:
        try:
            return HTMLResponse(await self._workers["checks"].do(lambda: page(self.networks)))
        except asyncio.CancelledError:  # the server ends
            return Response(status_code=ENDED)
        except Exception as error:  # the run that it was opened with is gone, or damaged since
            return PlainTextResponse(str(_problem(error)), 500)

    async def _answer(self, request: Request) -> Response:
        answer = self.answers.get(request.path_params["name"])
        try:
            if answer is None:
                raise Refusal(
                    404,
                    "there is no such request",
                    why=f"there are {', '.join(self.answers)}",
                    fix="send one of these",
                )
            if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                raise Refusal(415, "the request is not JSON", fix="send content-type: application/json")
            async with asyncio.timeout(BODY_SECONDS):
                content = await read(request.headers.get("content-length"), request.stream(), answer.most)
            body, job = parse(content), answer.job
            result = await _while_there(
                request, self._workers[answer.worker].do(lambda: json.dumps(job(body), allow_nan=False))
            )
        except asyncio.CancelledError:  # the server ends
            return Response(status_code=ENDED)
        except Exception as error:
            return _failed(error)
        return Response(status_code=CLOSED_REQUEST) if result is None else _json(result)

    # -- jobs ----------------------------------------------------------------------------------------------------

    def _fix(self, body: Body) -> Any:
        node = body.text("node") if body.has("node") else None
        return self.networks.fix(Source.of(body), body.text("code"), node, body.text("fix"))

    def _pictures(self, body: Body) -> Any:
        kinds = body.texts("kinds", len(DRAWN))
        unit = tuple(body.wholes("unit", 3))
        return self.networks.pictures(Source.of(body), kinds, body.text("node", default=""), unit)

    def _compare(self, body: Body) -> Any:
        return self.networks.compare(Source.of(body.part("a")), Source.of(body.part("b")))

    def _values(self, body: Body) -> Any:
        nodes = body.texts("nodes", MAX_NAMES)
        percent = body.whole("percent", 0, 100, 100)
        return self._activations.answer(Source.of(body), image(body.part("image")), nodes, percent)

    def _electrode(self, body: Body) -> Any:
        return self._hand.electrode(Source.of(body), body.text("node"), place(body))

    def _respond(self, body: Body) -> Any:
        return self._hand.respond(_unit(body), slides(body), color(body))


def _unit(body: Body) -> Unit:
    return Unit.of(Source.of(body), body)


def _explain(body: Body) -> Any:
    from striate.views.rules import rules_record

    return rules_record([body.text("code", 100)])


def _module(name: str) -> Callable[[Request], Response]:
    return lambda _: Response(module(name), media_type="text/javascript")


async def _while_there(request: Request, work: Awaitable[Any]) -> Any:
    """What the work gives, while its client waits for it; None for one that has gone."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    job, watch = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({job, watch}, return_when=asyncio.FIRST_COMPLETED)
        return job.result() if job.done() else None
    finally:
        for task in (job, watch):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch


def _failed(error: Exception) -> Response:
    """The answer that says why a request failed.

    A network that is being typed is wrong most of the time, which is an answer like others: browsers log other statuses
    than 200.
    """
    if os.environ.get("STRIATE_TRACEBACK") and not isinstance(error, StriateError):
        raise error
    problem = _problem(error)
    status = 500 if isinstance(problem, InternalError) else getattr(problem, "status", 200)
    headers = {"connection": "close"} if status in (408, 413) else {}  # the rest of the body is not read
    return _json(json.dumps({"problem": problem.diagnostic.to_dict()}), status, headers)


def _json(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A text of ASCII: names of files may hold half characters, which no UTF-8 does."""
    return Response(text, status, headers, "application/json")


def _problem(error: Exception) -> StriateError:
    if isinstance(error, StriateError):
        return error
    if isinstance(error, TimeoutError):
        return Refusal(
            408,
            "the request did not arrive",
            why=f"its body took more than {BODY_SECONDS} seconds",
            fix="send it again",
        )
    if isinstance(error, RecursionError | MemoryError):
        return LimitError("the network is too large for this machine", fix="use a smaller input size")
    if isinstance(error, OSError):
        return SourceError(
            str(error.strerror or error), fix="check the path, its permissions and the free space"
        )
    return InternalError(f"{type(error).__name__}: {error}", why="this is a bug in Striate", fix="report it")
