"""`striate lab` in a process of its own, and requests to it whose every header is chosen."""

import contextlib
import dataclasses
import http.client
import json
import os
import signal
import subprocess
import sys

SECONDS = 60


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict
    content: bytes

    def json(self):
        return json.loads(self.content)

    @property
    def problem(self):
        return self.json()["problem"]


class Served:
    """A running `striate lab`; arguments: those of the command."""

    def __init__(self, *arguments, **options):
        options.setdefault("env", {**os.environ, "PYTHONUNBUFFERED": "1"})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "striate", "lab", "--no-browser", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options,
        )  # fmt: skip
        self.link = self.process.stdout.readline().strip()
        assert self.link.startswith("http://127.0.0.1:"), self.process.communicate(timeout=SECONDS)
        self.origin = self.link.partition("/?")[0]
        self.port = int(self.origin.rpartition(":")[2])
        self.path = self.link.removeprefix(self.origin)
        first = self.get(self.path)
        assert first.status == 303
        self.cookie = first.headers["set-cookie"].partition(";")[0]

    def request(self, method, path, headers=(), body=None, chunked=False):
        """An answer. headers: pairs, as they are sent; none is added but content-length or transfer-encoding."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            if chunked:
                connection.putheader("transfer-encoding", "chunked")
            elif body is not None and not any(name == "content-length" for name, _ in headers):
                connection.putheader("content-length", str(len(body)))
            # The server answers, and closes, before all of a body that is too large is sent.
            with contextlib.suppress(ConnectionError):
                connection.endheaders(body, encode_chunked=chunked)
            answer = connection.getresponse()
            lines = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, lines, answer.read())
        finally:
            connection.close()

    @property
    def host(self):
        return ("host", f"127.0.0.1:{self.port}")

    @property
    def ours(self):
        """Headers of a request of the page itself."""
        return [
            self.host,
            ("cookie", self.cookie),
            ("origin", self.origin),
            ("content-type", "application/json"),
        ]

    def get(self, path, *headers):
        return self.request("GET", path, [self.host, *headers])

    def post(self, name, content, chunked=False):
        return self.request("POST", f"/api/{name}", self.ours, content, chunked)

    def ask(self, request, /, **body):
        return self.post(request, json.dumps(body).encode())

    def interrupt(self):
        """Ctrl-C; the exit code, and what was printed."""
        os.killpg(self.process.pid, signal.SIGINT)
        out, err = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, out, err

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=SECONDS)
