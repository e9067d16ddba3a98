"""Compiled kernels on disk: what is trusted, what is rebuilt, and what happens when compiling is disturbed."""

import ast
import os
import stat
import subprocess
import sys
import threading
import time

import pytest

from engine.processes import SOURCE, python
from striate.diagnostics import EngineError
from striate.engine.codegen import code, code_cache, loader
from striate.engine.codegen.kernel import Kernel
from striate.engine.target import AVX2, AVX512, SSE, able

pytestmark = pytest.mark.skipif(not able(), reason="no kernels here")
KEY, CODE = bytes(range(32)), bytes(range(256)) * 2
SMALL = [Kernel("tile", (pixels, 1)) for pixels in (1, 2, 3, 4)]


@pytest.fixture
def folder(place):
    found, why = code_cache.open_folder()
    assert found is not None, why
    yield found
    found.close()


def file_of(place, key=KEY):
    return place / f"{key.hex()}.code"


LOAD = """
import sys
from striate.engine.codegen.code import addresses
from striate.engine.codegen.kernel import Kernel
from striate.engine.target import host
found = addresses(host(), [Kernel("tile", (pixels, 1)) for pixels in range(1, {count})])
print(len(found), "llvmlite" in sys.modules)
"""


def test_what_was_kept_comes_back(folder, place):
    assert folder.get(KEY) is None
    folder.put(KEY, CODE)
    assert folder.get(KEY) == CODE
    assert [path.name for path in place.iterdir()] == [f"{KEY.hex()}.code"]
    folder.put(KEY, b"")
    assert folder.get(KEY) == b""


def test_nobody_else_may_read_or_write_it(place):
    old = os.umask(0)
    try:
        folder, _ = code_cache.open_folder()
        folder.put(KEY, CODE)
        folder.close()
    finally:
        os.umask(old)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE(file_of(place).stat().st_mode) == 0o600


def test_a_poisoned_byte_anywhere_is_seen(folder, place):
    folder.put(KEY, CODE)
    good = file_of(place).read_bytes()
    for at in range(len(good)):
        for change in (1, 0x80):
            file_of(place).write_bytes(good[:at] + bytes([good[at] ^ change]) + good[at + 1 :])
            assert folder.get(KEY) is None
    file_of(place).write_bytes(good)
    assert folder.get(KEY) == CODE


def test_a_truncation_or_an_addition_is_seen(folder, place):
    folder.put(KEY, CODE)
    good = file_of(place).read_bytes()
    for length in range(len(good)):
        file_of(place).write_bytes(good[:length])
        assert folder.get(KEY) is None
    file_of(place).write_bytes(good + b"\0")
    assert folder.get(KEY) is None


def test_a_file_under_another_name_is_seen(folder, place):
    folder.put(KEY, CODE)
    file_of(place).rename(file_of(place, KEY[::-1]))
    assert folder.get(KEY[::-1]) is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_not_read(folder, place, mode):
    folder.put(KEY, CODE)
    file_of(place).chmod(mode)
    assert folder.get(KEY) is None
    folder.put(KEY, CODE)
    assert folder.get(KEY) == CODE


def test_neither_links_nor_pipes_nor_folders_are_read(folder, place, tmp_path):
    folder.put(KEY, CODE)
    file_of(place).rename(tmp_path / "elsewhere")
    for make in (
        lambda path: path.symlink_to(tmp_path / "elsewhere"),
        os.mkfifo,
        lambda path: path.mkdir(),
    ):
        make(file_of(place))
        assert folder.get(KEY) is None
        (file_of(place).rmdir if file_of(place).is_dir() else file_of(place).unlink)()


def test_a_huge_file_is_not_read(folder, place):
    folder.put(KEY, CODE)
    os.truncate(file_of(place), code_cache.MAX_FILE_BYTES + 1)
    assert folder.get(KEY) is None


def test_another_users_file_is_not_read(folder, place, monkeypatch):
    folder.put(KEY, CODE)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert folder.get(KEY) is None


# ------------------------------------------------------------------------------------------------- the folder


def test_another_users_folder_is_not_used(place, monkeypatch):
    place.mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: place.stat().st_uid + 1)
    found, why = code_cache.open_folder()
    assert found is None and "another user" in why


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives folders away")
def test_a_folder_that_was_given_away_is_not_used(place):
    place.mkdir(parents=True, mode=0o700)
    os.chown(place, 12345, -1)
    assert code_cache.open_folder()[0] is None
    done = python(LOAD.format(count=2))
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 True\n", "")
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
def test_a_folder_that_others_may_write_is_not_used(place, mode):
    place.mkdir(parents=True)
    place.chmod(mode)
    found, why = code_cache.open_folder()
    assert found is None and "other users" in why


def test_a_folder_that_was_there_keeps_its_permissions(place):
    """STRIATE_CACHE may name a folder that has other uses; that others read it does no harm."""
    place.mkdir(parents=True)
    place.chmod(0o755)
    found, _ = code_cache.open_folder()
    found.close()
    assert stat.S_IMODE(place.stat().st_mode) == 0o755


def test_a_link_is_not_used(place, tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    place.parent.mkdir()
    place.symlink_to(tmp_path / "real")
    found, why = code_cache.open_folder()
    assert found is None and "link" in why


def test_a_folder_exchanged_while_open_is_not_read(folder, place, tmp_path):
    """All is done in the folder that was opened, whatever takes its name."""
    folder.put(KEY, CODE)
    place.rename(tmp_path / "moved")
    place.mkdir(mode=0o777)
    file_of(place).write_bytes(b"else")
    assert folder.get(KEY) == CODE


def test_places(monkeypatch, tmp_path):
    for name in ("STRIATE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert code_cache.cache_folder() == tmp_path / ".cache/striate/code"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert code_cache.cache_folder() == tmp_path / ".cache/striate/code"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert code_cache.cache_folder() == tmp_path / "x/striate/code"
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "y"))
    assert code_cache.cache_folder() == tmp_path / "y"


def test_without_a_home_all_works(monkeypatch):
    for name in ("STRIATE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(code, "_loaded", {})
    assert code_cache.cache_folder() is None and code_cache.state().why
    assert len(code.addresses(able()[0], SMALL[:1])) == 1


def test_roots_folders_do_not_come_into_a_users_home(monkeypatch, tmp_path):
    monkeypatch.delenv("STRIATE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    found, why = code_cache.open_folder()
    assert found is None and "another user" in why
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_nothing_can_be_made(monkeypatch, tmp_path, forgetful):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "file" / "code"))
    assert code_cache.open_folder()[0] is None
    assert len(code.addresses(able()[0], SMALL[:1])) == 1


def test_a_full_disk_is_no_error(folder, place, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    folder.put(KEY, CODE)
    assert folder.get(KEY) is None and list(place.iterdir()) == []


def test_the_least_recently_used_go(folder, place):
    keys = [bytes([k]) * 32 for k in range(6)]
    for age, key in enumerate(keys):
        folder.put(key, CODE)
        os.utime(file_of(place, key), (0, time.time() - 1000 * age))
    (place / "notes.txt").write_bytes(bytes(10_000))
    folder.trim(3 * (len(CODE) + code_cache.HEADER))
    assert [folder.get(key) is not None for key in keys] == [True] * 3 + [False] * 3
    assert (place / "notes.txt").exists()


def test_use_is_noted(folder, place):
    folder.put(KEY, CODE)
    os.utime(file_of(place), (0, 1_000_000))
    folder.get(KEY)
    assert file_of(place).stat().st_mtime > time.time() - 100


def test_what_a_crash_left_goes(folder, place):
    old, new = place / f".{KEY.hex()}.{1:016x}.new", place / f".{KEY.hex()}.{2:016x}.new"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 1_000_000))
    folder.trim()
    assert not old.exists() and new.exists()


# ------------------------------------------------------------------------------------------------- names


def test_every_part_of_a_kernel_is_in_its_name():
    keys = [
        code_cache.key(target, template, numbers)
        for target in (AVX512, AVX2, SSE)
        for template in ("tile", "dense_conv")
        for numbers in ((), (1,), (1, 2), (12,), ("1", "2"), ("1,2",))
    ]
    assert None not in keys and len(set(keys)) == len(keys)
    assert code_cache.key(AVX2, "tile", (1, 2)) == code_cache.key(AVX2, "tile", (1, 2))


def test_sources_features_and_llvmlite_are_in_the_name(monkeypatch, tmp_path):
    import importlib.util

    first = code_cache.source_digest()
    assert first is not None and first == code_cache.source_digest()
    with monkeypatch.context() as patch:
        patch.setattr(code_cache, "flags", lambda: frozenset({"avx2"}))
        assert code_cache.source_digest() not in (None, first)
    with monkeypatch.context() as patch:
        source = tmp_path / "emit.py"
        patch.setattr(code_cache, "sources", lambda: [source])
        source.write_text("a = 1")
        one = code_cache.source_digest()
        source.write_text("a = 2")
        assert len({first, one, code_cache.source_digest(), None}) == 4
    package = tmp_path / "llvmlite"
    (package / "binding").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    made = [first, None]
    for version, library in (("0.44", b"1"), ("0.45", b"1"), ("0.45", b"22")):
        (package / "_version.py").write_text(version)
        (package / "binding" / "libllvmlite.so").write_bytes(library)
        spec = importlib.util.spec_from_file_location("llvmlite", package / "__init__.py")
        with monkeypatch.context() as patch:
            patch.setattr(importlib.util, "find_spec", lambda name, spec=spec: spec)
            made.append(code_cache.source_digest())
    assert len(set(made)) == len(made)


def test_code_made_while_sources_change_is_not_kept(monkeypatch, forgetful):
    monkeypatch.setattr(code_cache, "sources_unchanged", lambda: False)
    code.addresses(able()[0], SMALL[:1])
    assert list(forgetful.iterdir()) == []


def test_all_that_templates_import_is_in_the_name():
    """A template's text follows from its file and from what that imports, and so on."""
    root = SOURCE / "striate"
    hashed = set(code_cache.sources())
    free = {"striate.diagnostics"}  # says only what an error looks like
    for path in hashed:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("striate"):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names if alias.name.startswith("striate")]
            else:
                continue
            for name in names:
                parts = name.split(".")[1:]
                files = [root.joinpath(*parts[:end]) for end in range(len(parts), 0, -1)]
                found = next(
                    (
                        candidate
                        for file in files
                        for candidate in (file.with_suffix(".py"), file / "__init__.py")
                        if candidate.exists()
                    ),
                    None,
                )
                module = name if found and found.stem == parts[-1] else name.rpartition(".")[0]
                if found and found != root / "engine" / "__init__.py" and module not in free:
                    assert found in hashed, f"{path.name} imports {name}: name it in code_cache.SOURCES"


# ------------------------------------------------------------------------------------------------- addresses


def test_a_second_process_needs_no_llvmlite(place):
    first, second = (python(LOAD.format(count=5)) for _ in range(2))
    assert (first.returncode, first.stderr) == (0, ""), first.stderr
    assert first.stdout.split()[0] == "4"
    assert (second.stdout, second.stderr) == ("4 False\n", "")


def test_templates_are_imported_without_llvm():
    """Planning needs their constants; LLVM is 40 MB and takes longer than all of planning."""
    names = [path.stem for path in (SOURCE / "striate/engine/kernels").glob("[a-z]*.py")]
    imports = "".join(f"import striate.engine.kernels.{name}\n" for name in names)
    done = python(f"{imports}import sys; print('llvmlite' in sys.modules)")
    assert (done.stdout, done.stderr) == ("False\n", "")


PREDICT = """
import sys
import numpy as np
import striate as st
net = st.parse("12x12x3 -> conv 3x3 20 pad 1 -> bn -> relu -> maxpool 2 -> conv 3x3 8 -> gap -> flatten -> fc 4")
model = st.Model(net)
model.predict(np.zeros((2, 3, 12, 12), np.float32))
print(model.engine.name, "llvmlite" in sys.modules)
"""


def test_a_second_prediction_needs_no_llvmlite(place):
    assert python(PREDICT).returncode == 0
    done = python(PREDICT)
    assert (done.stdout, done.stderr) == ("compiled False\n", "")


def test_another_target_has_its_own_code(place):
    for target in able():
        done = python(LOAD.format(count=2), STRIATE_TARGET=target.name)
        assert done.returncode == 0, done.stderr
    assert len(list(place.iterdir())) == len(able())


def test_damaged_files_are_made_anew(forgetful, monkeypatch):
    target = able()[0]
    code.addresses(target, SMALL[:1])
    (path,) = forgetful.iterdir()
    good = path.read_bytes()
    flipped, other_end = bytes([good[0] ^ 1]) + good[1:], good[:-1] + b"\xff"
    for bad in (b"", good[:-1], good[: code_cache.HEADER], flipped, other_end):
        path.write_bytes(bad)
        monkeypatch.setattr(code, "_loaded", {})
        assert len(code.addresses(target, SMALL[:1])) == 1
        assert path.read_bytes() == good


HURT = """
import sys
from pathlib import Path
from striate.engine.codegen import code_cache, code
from striate.engine.codegen.code import addresses
from striate.engine.codegen.kernel import Kernel
from striate.engine.target import host
kernel = Kernel("tile", (1, 1))
addresses(host(), [kernel])
(path,) = Path(sys.argv[1]).iterdir()
good = path.read_bytes()
key, whole = good[len(code_cache.MARK) : len(code_cache.MARK) + 32], good[code_cache.HEADER :]
for share in (0, 0.1, 0.4, 0.7, 0.99):
    bad = whole[: int(share * len(whole))]
    path.write_bytes(code_cache._header(key, bad) + bad)
    code._loaded.clear()
    addresses(host(), [kernel])
    assert path.read_bytes() == good
print(code.unloadable)
"""


def test_damage_under_a_right_checksum_is_made_anew(place):
    """In a process of its own: LLVM's loader ends the one that asks it."""
    done = python(HURT.replace("sys.argv[1]", repr(str(place))))
    assert (done.returncode, done.stdout) == (0, "{}\n"), done.stderr


def test_code_that_only_llvm_can_load_goes_to_it(forgetful, monkeypatch):
    from striate.engine.codegen import memory

    went = []
    monkeypatch.setattr(code, "unloadable", {})
    monkeypatch.setattr(memory, "load", lambda data: (went.append(data), 4096 + len(went))[1])
    real = loader.parse
    chosen = real(code._codes(able()[0], SMALL[:1])[1][SMALL[0]])

    def parse(data):
        image = real(data)
        if image == chosen:
            raise ValueError("object code: unknown")
        return image

    monkeypatch.setattr(loader, "parse", parse)
    found = code.addresses(able()[0], SMALL[:2])
    assert found[SMALL[0]] == 4097 and found[SMALL[1]] != 4097 and len(went) == 1
    assert code.unloadable == {SMALL[0]: "object code: unknown"}


def test_without_executable_memory_llvm_is_asked(forgetful, monkeypatch):
    from striate.engine.codegen import memory

    def refused(images):
        raise OSError(1, "mprotect of executable memory")

    monkeypatch.setattr(code, "unloadable", {})
    monkeypatch.setattr(loader, "load", refused)
    monkeypatch.setattr(memory, "load", lambda data: 42)
    assert set(code.addresses(able()[0], SMALL[:2]).values()) == {42}


def test_llvms_own_loader_works():
    from striate.engine.codegen import memory

    _, data = code._codes(able()[0], SMALL[:2])
    assert len({memory.load(each) for each in data.values()}) == 2


def test_a_target_of_another_machine(forgetful, monkeypatch):
    monkeypatch.setattr(code, "able", lambda: ())
    with pytest.raises(EngineError, match="does not run on this machine"):
        code.addresses(AVX512, SMALL[:1])


def test_processes_at_once(place):
    """Four processes with one empty cache: all get their kernels, and one set of whole files stays."""
    program = LOAD.format(count=4)
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    started = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [child.communicate(timeout=300)[0].split()[0] for child in started] == ["3"] * 4
    assert len(list(place.iterdir())) == 3
    assert python(program).stdout == "3 False\n"


def test_threads_at_once(folder, place):
    """Readers see one whole content or the other."""
    contents = [bytes([k]) * (1000 + k) for k in range(4)]
    seen, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            seen.add(folder.get(KEY))

    folder.put(KEY, contents[0])
    reader = threading.Thread(target=read)
    reader.start()
    writers = [
        threading.Thread(target=lambda c=content: [code_cache.Folder.put(folder, KEY, c) for _ in range(50)])
        for content in contents
    ]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert seen <= set(contents) and folder.get(KEY) in contents
