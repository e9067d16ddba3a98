"""What `striate lab` is sent: every body is read within a limit, and refused in words."""

import base64
import json
import socket

import pytest

from striate.views.lab.bodies import MIB

pytestmark = pytest.mark.lab


def alive(served):
    answer = served.ask("record", text="7x7x1 -> conv 3x3")
    return answer.status == 200 and answer.json()["page"]["show"]["nodes"][0]["output"] == [1, 5, 5]


def told(answer):
    """A refusal says what to do, in words for the reader of the page, who types no options."""
    assert answer.problem["fixes"], answer.problem
    assert "--" not in json.dumps(answer.problem["fixes"])


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_a_body_that_is_too_large_is_refused(served, chunked):
    content = b'{"text": "' + b"x" * (3 * MIB) + b'"}'
    pieces = [content[k : k + 65536] for k in range(0, len(content), 65536)] if chunked else content
    answer = served.post("record", pieces, chunked)
    assert answer.status == 413
    assert "at most 2 MiB" in answer.problem["why"]
    assert alive(served)


def test_a_declared_size_is_refused_before_anything_is_sent(served):
    for size, status in (("40000000000", 413), ("9" * 30, 400), ("-1", 400), ("x", 400)):
        lines = [*served.ours, ("content-length", size)]
        assert served.request("POST", "/api/activations", lines).status == status
    assert alive(served)


BAD = [
    b"", b"{", b"[]", b"null", b"1", b'"text"', b"\xff\xfe", b'{"text": NaN}', b'{"since": Infinity}',
    b'{"since": 1e999}',
    b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000, b"\x00", b'{"text": "a"} x',
]  # fmt: skip


@pytest.mark.parametrize("content", BAD, ids=lambda content: repr(content[:20]))
def test_what_is_not_an_object_of_finite_numbers_is_refused(served, content):
    answer = served.post("record", content)
    assert answer.status == 400
    assert answer.problem["message"].startswith("the request is not")
    told(answer)
    assert alive(served)


WRONG = [
    ("record", {"text": 1}), ("record", {"text": ["x"]}), ("record", {"input": {}}), ("record", {"model": True}),
    ("run", {}), ("run", {"name": "x", "since": -1}), ("run", {"name": "x", "since": True}),
    ("run", {"name": "x", "since": 1.5}), ("run", {"name": "x", "since": 10**30}), ("explain", {"code": None}),
    ("pictures", {"kinds": "blocks"}), ("pictures", {"kinds": [1]}), ("pictures", {"kinds": ["blocks"] * 1000}),
    ("pictures", {"kinds": ["field"], "unit": [-1, 0]}), ("pictures", {"kinds": ["field"], "unit": [1, 1, 1, 1]}),
    ("compare", {"a": {}}), ("compare", {"a": "lenet5", "b": "lenet5"}), ("fix", {"code": "G002"}),
    ("activations", {"nodes": []}), ("activations", {"nodes": [], "image": {"height": 1, "width": 1, "channels": 1}}),
    ("electrode", {}), ("electrode", {"node": 1}), ("electrode", {"node": "conv1", "at": "left"}),
    ("electrode", {"node": "conv1", "at": "1.x"}), ("electrode", {"node": "conv1", "at": "1.-1"}),
    ("electrode", {"node": "conv1", "at": "²."}), ("respond", {"node": "conv1"}),
    ("respond", {"node": "conv1", "slides": {}}), ("respond", {"node": "conv1", "slides": [1]}),
    ("respond", {"node": "conv1", "slides": [{"kind": "bar"}] * 257}),
    ("respond", {"node": "conv1", "slides": [{"kind": "bar", "x": 1e9}]}),
    ("respond", {"node": "conv1", "slides": [{"kind": "bar", "width": 0}]}),
    ("respond", {"node": "conv1", "slides": [{"kind": "bar", "orientation": True}]}),
    ("respond", {"node": "conv1", "slides": [{"kind": "bar", "length": "1"}]}),
    ("respond", {"node": "conv1", "slides": [{"x": 0}]}), ("protocol", {"node": "conv1", "unit": -1}),
    ("pooled", {"node": "conv1"}), ("pooled", {"node": "conv1", "size": 17}), ("border", {"node": None}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body"), WRONG, ids=str)
def test_parts_that_are_not_of_their_kind_are_refused(served, name, body):
    answer = served.ask(name, **{"text": "7x7x1 -> conv 3x3", **body})
    assert answer.status == 422
    assert answer.problem["message"] and answer.problem["code"] != "I000"
    told(answer)
    assert alive(served)


REFUSED = [
    ("electrode", {"node": "conv1", "at": "9.9"}), ("electrode", {"node": "conv9"}), ("electrode", {"node": "fc1"}),
    ("electrode", {"text": "7x7x1 -> convv", "node": "conv1"}), ("protocol", {"node": "conv1", "unit": 5}),
    ("pooled", {"node": "conv1", "size": 9}), ("border", {"node": "conv1", "unit": 5}),
    ("respond", {"node": "conv1", "unit": 5, "slides": []}),
    ("respond", {"node": "conv1", "slides": [{"kind": "star"}]}),
    ("respond", {"node": "conv1", "slides": [{"kind": "bar"}], "color": "red"}),
    ("respond", {"node": "conv1", "slides": [{"kind": "bar"}], "color": "red-green"}),
    ("run", {"name": "none"}), ("activations", {"nodes": ["conv9"], "image": {}}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body"), REFUSED, ids=str)
def test_what_the_experiment_refuses_says_what_to_send(served, name, body):
    answer = served.ask(name, **{"text": "7x7x1 -> conv 3x3 -> flatten -> fc 2", **body})
    told(answer)
    assert alive(served)


@pytest.mark.parametrize("kind", ["training", "../graph", ""])
def test_a_network_that_is_wrong_is_an_answer_like_others(served, kind):
    """Browsers log other statuses than 200."""
    for answer in (
        served.ask("record", text="7x7x1 -> convv"),
        served.ask("pictures", text="7x7x1 -> conv 3x3", kinds=[kind]),
    ):
        assert answer.status == 200 and answer.problem["message"]
    assert alive(served)


@pytest.mark.parametrize("pixels", ["", "x", "AAA", "AAAA", "é", base64.b64encode(bytes(5)).decode()])
def test_pixels_are_as_many_as_the_sizes_say(served, pixels):
    image = {"height": 2, "width": 2, "channels": 1, "pixels": pixels}
    answer = served.ask("activations", text="2x2x1 -> conv 1x1", nodes=[], image=image)
    assert answer.status == 422
    assert "pixels" in answer.problem["where"]


@pytest.mark.parametrize("name", ["text", "model", "input"])
def test_half_a_character_is_refused(served, name):
    answer = served.post("record", json.dumps({name: "7x7x1 -> conv 3x3 \ud800"}).encode())
    assert answer.status == 422
    assert "half a character" in answer.problem["message"]
    assert alive(served)


def test_other_requests_methods_and_kinds_are_refused(served):
    assert served.post("nothing", b"{}").status == 404
    assert served.request("GET", "/api/record", served.ours).status == 405
    assert served.request("POST", "/striate.js", served.ours, b"{}").status == 405
    lines = [*served.ours[:-1], ("content-type", "text/plain")]
    assert served.request("POST", "/api/record", lines, b"{}").status == 415
    assert alive(served)


def test_a_connection_that_drops_is_forgotten(served):
    """In the middle of the headers, of the body, of the answer."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in served.ours)
    head = f"POST /api/pictures HTTP/1.1\r\n{lines}"
    body = json.dumps({"model": "resnet50", "kinds": ["blocks", "graph", "pixels"]})
    for text in (
        head[:40], head, f"{head}content-length: 500\r\n\r\n{{", f"{head}transfer-encoding: chunked\r\n\r\nfff\r\nabc",
        f"{head}content-length: {len(body)}\r\n\r\n{body}",
    ):  # fmt: skip
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", served.port)) as connection:
                connection.sendall(text.encode())
    assert alive(served)


def test_noise_is_not_http(served):
    for noise in (b"\x00" * 1000, b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"A" * 300_000):
        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            connection.settimeout(10)
            try:
                connection.sendall(noise)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            except TimeoutError:
                raise
            except OSError:
                pass  # the server may end the connection before it has read all
    assert alive(served)
