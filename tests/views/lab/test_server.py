"""The process of `striate lab`: how it begins, and that nothing of it is left."""

import base64
import concurrent.futures
import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import striate
from cli.run import run
from lab_server import SECONDS, Served

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("interruptible")]


@pytest.fixture
def started(tmp_path):
    """started(*arguments): a `striate lab` in an empty folder, whose temporary files have a folder of their own."""
    running = []
    (tmp_path / "here").mkdir()
    (tmp_path / "temporary").mkdir()

    def start(*arguments):
        environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
        running.append(Served(*arguments, cwd=tmp_path / "here", env=environment))
        return running[-1]

    yield start
    for one in running:
        one.end()


def members(group):
    """Processes of a group."""
    listing = subprocess.run(
        ["ps", "-e", "-o", "pid=,pgid="], capture_output=True, text=True, check=True
    ).stdout
    return [pid for pid, of in map(str.split, listing.splitlines()) if int(of) == group]


def refuses(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_control_c_ends_it_at_once_and_leaves_nothing(started, tmp_path):
    served = started()
    pixels = base64.b64encode(bytes(64 * 64 * 3)).decode()
    picture = {"pixels": pixels, "height": 64, "width": 64, "channels": 3}
    assert served.ask("activations", model="lenet5", nodes=["conv1"], image=picture).status == 200
    assert served.ask("pictures", model="lenet5", kinds=["blocks"]).status == 200
    code, out, err = served.interrupt()
    assert code == 0
    assert "Traceback" not in err and "Error" not in err
    assert out == ""  # the link was all
    assert not members(served.process.pid)
    assert refuses(served.port)
    assert not [*(tmp_path / "here").iterdir()]
    assert not [*(tmp_path / "temporary").iterdir()]


def test_control_c_does_not_wait_for_work(started):
    served = started()
    body = {"model": "vgg16", "nodes": ["conv1_1"], "image": {
        "pixels": base64.b64encode(bytes(32 * 32 * 3)).decode(), "height": 32, "width": 32, "channels": 3}}  # fmt: skip
    threads = [threading.Thread(target=_ignore, args=(served, body)) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    before = time.monotonic()
    code, _, err = served.interrupt()
    assert (code, "Traceback" in err) == (0, False)
    assert time.monotonic() - before < 15  # eight runs of VGG-16 take longer
    for thread in threads:
        thread.join(SECONDS)


def _ignore(served, body):
    with contextlib.suppress(OSError, http.client.HTTPException):
        served.ask("activations", **body)


def test_a_closed_terminal_ends_it(started):
    served = started()
    os.kill(served.process.pid, signal.SIGTERM)
    served.process.communicate(timeout=SECONDS)
    assert not members(served.process.pid)
    assert refuses(served.port)


def test_many_tabs_at_once(started):
    served = started()
    sizes = range(5, 45)

    def tab(size):
        answer = served.ask("record", text=f"{size}x{size}x1 -> conv 3x3").json()
        return answer["page"]["show"]["nodes"][0]["output"]

    with concurrent.futures.ThreadPoolExecutor(12) as tabs:
        assert [*tabs.map(tab, sizes)] == [[1, size - 2, size - 2] for size in sizes]


def test_a_second_lab_takes_another_port_and_refuses_the_cookie_of_the_first(started):
    one, other = started(), started()
    assert one.port != other.port
    lines = [other.host, ("cookie", one.cookie)]
    assert other.request("GET", "/", lines).status == 403
    both = [other.host, ("cookie", f"{one.cookie}; {other.cookie}")]
    assert other.request("GET", "/", both).status == 200


def test_it_listens_to_this_machine_alone(started):
    served = started()
    ports = f"{served.port:04X}"
    with open("/proc/net/tcp") as table:
        local = [line.split()[1] for line in table if line.split()[1].endswith(f":{ports}")]
    assert local and {address.partition(":")[0] for address in local} == {"0100007F"}


def test_a_port_that_is_in_use_is_an_error(started):
    served = started()
    failed = subprocess.run(
        [sys.executable, "-m", "striate", "lab", "--no-browser", "--port", str(served.port)],
        capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert failed.returncode == 2
    assert f"port {served.port} cannot be used" in failed.stderr
    assert "leave out --port" in failed.stderr and "Traceback" not in failed.stderr
    assert served.interrupt()[0] == 0
    again = started("--port", str(served.port))
    assert again.port == served.port


def test_the_network_of_the_command_is_shown(started):
    served = started("7x7x1 -> conv 3x3 /3", "--input", "10x10x1")
    page = served.get("/", ("cookie", served.cookie)).content.decode()
    assert "10x10x1 -\\u003e conv 3x3 /3" in page


def test_a_mistake_in_the_model_is_told_before_anything_is_served():
    failed = subprocess.run(
        [sys.executable, "-m", "striate", "lab", "--no-browser", "resnt18"],
        capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert failed.returncode == 2
    assert "resnet18" in failed.stderr and failed.stdout == ""


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text there")
def test_a_folder_whose_name_is_no_text_hides_no_run(started, tmp_path, trained):
    root = tmp_path / "here"
    for name in ("plain", os.fsdecode(b"a\xffb")):
        shutil.copytree(trained, root / name)
    lab = started()
    listed = [run["name"] for run in lab.ask("runs").json()["runs"]]
    assert listed == ["a\N{REPLACEMENT CHARACTER}b", "plain"]
    for name in listed:
        assert lab.ask("run", name=name).json()["epochs"] == 1
        assert lab.ask("record", model=name).json()["page"]["run"]["name"] == name


def test_a_page_whose_run_is_gone_says_so(started, tmp_path, trained):
    folder = tmp_path / "here" / "one"
    shutil.copytree(trained, folder)
    lab = started("one")
    cookie = ("cookie", lab.cookie)
    assert lab.get("/", cookie).status == 200
    shutil.rmtree(folder)
    answer = lab.get("/", cookie)
    assert b"one" in answer.content and b"Internal Server Error" not in answer.content


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of one epoch."""
    x, y = np.random.default_rng(0).random((8, 1, 4, 4), np.float32), np.arange(8) % 2
    folder = tmp_path_factory.mktemp("run") / "one"
    model = striate.Model("4x4x1 -> flatten -> fc 2", seed=0)
    model.fit(x, y, epochs=1, verbose=0, validation=(x, y), out=folder)
    return folder


@pytest.mark.parametrize("port", ["0", "70000", "-1"])
def test_a_port_that_no_machine_has_is_refused_with_the_range(port):
    assert "from 1 to 65535" in run("lab", "--no-browser", "--port", port).err
