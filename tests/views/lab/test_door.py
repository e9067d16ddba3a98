"""Who is answered by `striate lab`: its own page alone."""

import asyncio
import concurrent.futures

import pytest

pytestmark = pytest.mark.lab


def test_the_link_gives_a_cookie_and_leads_to_an_address_without_token(served):
    first = served.get(served.path)
    assert first.status == 303
    assert first.headers["location"] == "/"
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {
        part.strip() for part in first.headers["set-cookie"].split(";")
    }
    assert served.link.rpartition("=")[2] not in first.headers["set-cookie"]
    page = served.get("/", ("cookie", served.cookie))
    assert page.status == 200
    assert b"data-striate-lab" in page.content
    assert served.link.rpartition("=")[2].encode() not in page.content


@pytest.mark.parametrize(
    "path", ["/", "/striate.js", "/experiment.js", "/lab.js", "/nowhere", "/?token=", "/api/record"]
)
def test_every_answer_has_the_policy(served, path):
    for answer in (served.get(path), served.get(path, ("cookie", served.cookie))):
        policy = dict(
            part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";")
        )
        assert policy["script-src"] == "'self'"
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert "http" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_without_a_token_the_page_says_what_to_do(served):
    answer = served.get("/")
    assert answer.status == 403
    assert b"the whole link" in answer.content
    assert b"data-striate-lab" not in answer.content


TOKENS = ["/?token=x", "/?token=", "/?token=%ff%fe", "/?token=%00", "/?token=" + "a" * 4000, "/?Token=x"]


@pytest.mark.parametrize("path", TOKENS)
def test_a_wrong_token_is_refused(served, path):
    assert served.get(path).status == 403


def test_the_token_opens_the_page_and_nothing_else(served):
    query = served.path.removeprefix("/")
    assert served.get("/striate.js" + query).status == 403
    assert (
        served.request("POST", "/api/runs" + query, [served.host, ("origin", served.origin)], b"{}").status
        == 403
    )
    assert served.request("POST", served.path, [served.host], b"").status == 403


@pytest.mark.parametrize("cookie", ["", "x", "striate-lab=1", "{name}=", "{name}=x", "{name}=\xe9", "{name}"])
def test_a_wrong_cookie_is_refused(served, cookie):
    name = served.cookie.partition("=")[0]
    assert served.get("/striate.js", ("cookie", cookie.format(name=name))).status == 403


HOSTS = [
    [], ["evil.example"], ["evil.example:{port}"], ["127.0.0.1"], ["127.0.0.1:1"], ["127.0.0.1.evil.example:{port}"],
    ["127.0.0.1:{port}", "evil.example"], ["127.0.0.1:{port}@evil.example"], ["0.0.0.0:{port}"], ["[::]:{port}"], [""],
]  # fmt: skip


@pytest.mark.parametrize("hosts", HOSTS, ids=str)
def test_another_host_is_refused(served, hosts):
    lines = [("host", host.format(port=served.port)) for host in hosts]
    for path in ("/", "/striate.js", "/experiment.js", "/lab.js", served.path):
        refused = served.request("GET", path, [*lines, ("cookie", served.cookie)])
        assert refused.status in (400, 403)  # 400: the server's own, for none and for two
        assert b"data-striate-lab" not in refused.content


@pytest.mark.parametrize("host", ["localhost:{port}", "[::1]:{port}", "LOCALHOST:{port}"])
def test_names_of_this_machine_are_its_own(served, host):
    host = host.format(port=served.port)
    assert served.request("GET", "/striate.js", [("host", host), ("cookie", served.cookie)]).status == 200


ORIGINS = [
    "null", "http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1", "http://127.0.0.1:1",
    "http://localhost:{port}", "http://127.0.0.1:{port}.evil.example", "http://127.0.0.1:{port}/", "",
]  # fmt: skip


@pytest.mark.parametrize("origin", ORIGINS, ids=str)
def test_another_origin_is_refused(served, origin):
    origin = origin.format(port=served.port)
    lines = [served.host, ("cookie", served.cookie), ("origin", origin), ("content-type", "application/json")]
    assert served.request("POST", "/api/runs", lines, b"{}").status == 403
    assert served.request("GET", "/", lines).status == 403
    two = [*served.ours, ("origin", origin)]
    assert served.request("POST", "/api/runs", two, b"{}").status == 403


def test_a_request_that_changes_nothing_here_still_says_where_it_comes_from(served):
    lines = [served.host, ("cookie", served.cookie), ("content-type", "application/json")]
    assert served.request("POST", "/api/runs", lines, b"{}").status == 403
    for site, status in (("same-site", 403), ("cross-site", 403), ("none", 403), ("same-origin", 200)):
        assert served.request("POST", "/api/runs", [*lines, ("sec-fetch-site", site)], b"{}").status == status


def test_a_script_of_another_page_is_refused_and_a_link_is_followed(served):
    other = [served.host, ("cookie", served.cookie), ("sec-fetch-site", "cross-site")]
    assert served.request("GET", "/striate.js", [*other, ("sec-fetch-mode", "no-cors")]).status == 403
    assert served.request("GET", "/", [*other, ("sec-fetch-mode", "navigate")]).status == 200


PATHS = [
    "/../pyproject.toml", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/striate.js/../app.py",
    "/striate.js%00", "/static/striate.js", "/striate.js/", "/api/../striate.js", "/api/record/../../etc/passwd",
    "/api/..%2frecord", "/....//etc/passwd", "/%252e%252e/etc/passwd", "/C:\\\\windows\\\\win.ini", "/\\\\..\\\\x",
    "/index.html", "/striate.py", "/.git/config",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_there_are_no_files_but_the_page_and_its_module(served, path):
    for method in ("GET", "POST"):
        answer = served.request(method, path, served.ours, b"{}" if method == "POST" else None)
        assert answer.status in (400, 404, 405)
        assert b"root:" not in answer.content


def test_a_ticket_opens_the_page_once():
    from striate.views.lab.door import Door

    async def app(scope, receive, send):
        raise AssertionError("nothing enters")

    door = Door(app, 80)
    ticket = door.ticket().partition("?")[2]

    def status(query):
        sent = []

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/", "query_string": query.encode(),
                 "headers": [(b"host", b"127.0.0.1:80")]}  # fmt: skip
        with (
            concurrent.futures.ThreadPoolExecutor() as aside
        ):  # a browser's tests leave a loop running in this thread
            aside.submit(asyncio.run, door(scope, None, send)).result()
        return sent[0]["status"]

    assert [status(ticket), status(ticket)] == [303, 403]
    assert [status(f"token={door.token}")] * 2 == [303, 303]
