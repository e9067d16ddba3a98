"""On-disk cache of object code: a kernel is compiled once per processor.

One file per kernel, named by a hash of everything that its code depends on: the sources of the code generator,
llvmlite, the target, all features of the processor, and the kernel's template and parameters. It holds a magic number,
that name, a checksum of the code, and the code. Loading code means executing it, so the folder and its files must
belong to this user, no other user may write them, and links are not followed; otherwise there is no cache, and every
process compiles for itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from striate.diagnostics import SourceError
from striate.engine.target import Target, flags

MARK = b"striate\x01"
"""The first bytes of a file, with the version of its format."""
HEADER = len(MARK) + 32 + 32
MAX_FILE_BYTES = 1 << 24
MAX_CACHE_BYTES = 256 << 20
"""Limit for all files; beyond it the least recently used are removed."""
DAY_S = 86_400
"""Resolution of a file's last use, so that loading seldom writes."""
FILE_NAMES = re.compile(r"[0-9a-f]{64}\.code|\.[0-9a-f]{64}\.[0-9a-f]{16}\.new")
"""Names of files that this module writes, and of temporary files that a crash leaves behind."""

SOURCES = (
    "engine/codegen/llvm.py",
    "engine/codegen/emit.py",
    "engine/codegen/ir.py",
    "engine/codegen/kernel.py",
    "engine/codegen/values.py",
    "engine/aligned.py",
    "engine/target.py",
    "engine/kernels/*.py",
    "engine/layout.py",
    "statement.py",
    "geometry/*.py",
)
"""Sources of the text of a kernel, relative to striate/: templates and their imports."""


def cache_folder() -> Path | None:
    """STRIATE_CACHE, or striate/code in the user's cache folder; None if there is no such folder."""
    setting = os.environ.get("STRIATE_CACHE")
    if setting:
        return Path(os.path.abspath(setting))
    caches = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(caches):
        home = os.path.expanduser("~")
        if not os.path.isabs(home):
            return None
        caches = os.path.join(home, ".cache")
    return Path(caches, "striate", "code")


def sources() -> list[Path]:
    """The files of SOURCES. Raises FileNotFoundError where one is missing (an archive, a bundle)."""
    root = Path(__file__).parents[2]
    paths = []
    for pattern in SOURCES:
        folder, _, name = pattern.rpartition("/")
        files = sorted((root / folder).glob(name))
        if not files:
            raise FileNotFoundError(pattern)
        paths += files
    return paths


def source_digest() -> bytes | None:
    """Digest of everything that code generation depends on besides the kernel; None if unknown: then nothing is
    kept."""
    import importlib.util

    digest = hashlib.sha256(MARK)
    try:
        for source in sources():
            digest.update(b"%s %s " % (source.name.encode(), hashlib.sha256(source.read_bytes()).digest()))
        # llvmlite's version without importing it, nor importlib.metadata, which takes longer than all the rest
        spec = importlib.util.find_spec("llvmlite")
        if spec is None or spec.origin is None:
            return None
        package = Path(spec.origin).parent
        digest.update((package / "_version.py").read_bytes())
        for library in sorted((package / "binding").glob("*llvmlite.*")):
            digest.update(b"%d " % library.stat().st_size)
    except (OSError, ValueError):
        return None
    digest.update(" ".join(sorted(flags())).encode())
    return digest.digest()


_SOURCE_DIGEST = source_digest()
"""Digest of the sources as this process imported them."""


def sources_unchanged() -> bool:
    """Whether the sources are unchanged since the import. Code compiled while they are edited is not cached."""
    return source_digest() == _SOURCE_DIGEST


def key(target: Target, template: str, parameters: tuple[int | str, ...]) -> bytes | None:
    """32 bytes that name one kernel's code for one target on this machine; None if it cannot be cached."""
    if _SOURCE_DIGEST is None:
        return None
    return hashlib.sha256(repr((_SOURCE_DIGEST, target, template, parameters)).encode()).digest()


class Folder:
    """The open cache folder, checked to be safe. All file operations are relative to its handle."""

    def __init__(self, handle: int, path: Path) -> None:
        self._handle, self.path = handle, path

    def close(self) -> None:
        os.close(self._handle)

    def get(self, key: bytes) -> bytes | None:
        """The code with this key, or None if it is missing or cannot be trusted."""
        try:
            handle = os.open(_name(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self._handle)
        except OSError:
            return None
        try:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_FILE_BYTES or _fault(about):
                _note("%s: not a file of this user alone", key.hex())
                return None
            with open(handle, "rb", closefd=False) as stream:
                data = stream.read()
            if about.st_mtime < time.time() - DAY_S:
                with contextlib.suppress(OSError):
                    os.utime(handle)
        except OSError:
            return None
        finally:
            os.close(handle)
        content = data[HEADER:]
        if data[:HEADER] != _header(key, content):
            _note("%s: damaged", key.hex())
            return None
        return content

    def put(self, key: bytes, content: bytes) -> None:
        """Keep code. Written aside and renamed, so that half a file is never read. A full disk is not an error."""
        aside = f".{key.hex()}.{os.urandom(8).hex()}.new"
        options = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            try:
                with open(os.open(aside, options, 0o600, dir_fd=self._handle), "wb") as stream:
                    stream.write(_header(key, content) + content)
                os.replace(aside, _name(key), src_dir_fd=self._handle, dst_dir_fd=self._handle)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(aside, dir_fd=self._handle)
                raise
        except OSError as error:
            _note("%s: not kept: %s", key.hex(), error)

    def files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Name and state of every file of the cache."""
        for name in os.listdir(self._handle):
            if FILE_NAMES.fullmatch(name):
                with contextlib.suppress(OSError):
                    about = os.stat(name, dir_fd=self._handle, follow_symlinks=False)
                    if not stat.S_ISDIR(about.st_mode):
                        yield name, about

    def trim(self, limit: int = MAX_CACHE_BYTES) -> None:
        """Remove the least recently used files, down to `limit` bytes, and half-written ones."""
        now = time.time()
        total = 0
        for name, about in sorted(self.files(), key=lambda item: -item[1].st_mtime):
            unfinished = name.startswith(".")
            total += about.st_size
            if total > limit or (unfinished and about.st_mtime < now - DAY_S):
                total -= about.st_size
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=self._handle)

    def clear(self) -> tuple[int, int]:
        """Remove every file of the cache; returns their number and bytes."""
        count = size = 0
        for name, about in list(self.files()):
            os.unlink(name, dir_fd=self._handle)
            count, size = count + 1, size + about.st_size
        return count, size


def _note(text: str, *values: object) -> None:
    import logging  # only when there is something to say

    logging.getLogger(__name__).debug(text, *values)


def _name(key: bytes) -> str:
    return f"{key.hex()}.code"


def _header(key: bytes, content: bytes) -> bytes:
    return MARK + key + hashlib.sha256(content).digest()


def _fault(about: os.stat_result) -> str:
    """Why a folder or file could hold another user's code, or an empty string."""
    if about.st_uid != os.geteuid():
        return "it belongs to another user; STRIATE_CACHE=FOLDER names another place"
    if about.st_mode & 0o022:
        return "it can be written by other users; empty it with `striate doctor --clear-cache`, then `chmod go-w` it"
    return ""


def _open_directory(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def open_folder(make: bool = True) -> tuple[Folder | None, str]:
    """The folder, created if missing; or None and the reason why it cannot be used."""
    path = cache_folder()
    if not hasattr(os, "geteuid") or os.open not in os.supports_dir_fd:
        return None, "this system does not say whom a folder belongs to"
    if path is None:
        return None, "there is no home folder; STRIATE_CACHE=FOLDER names another place"
    try:
        try:
            handle = _open_directory(path)
        except FileNotFoundError:
            why = _not_ours(path)
            if why or not make:
                return None, why
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=0o700)
            handle = _open_directory(path)
    except OSError as error:
        if path.is_symlink():
            return None, "it is a link; STRIATE_CACHE=FOLDER names the folder itself"
        return None, (error.strerror or str(error)).lower()
    try:
        why = _fault(os.fstat(handle))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
    if why:
        os.close(handle)
        return None, why
    return Folder(handle, path), ""


def _not_ours(path: Path) -> str:
    """Why the folder should not be created: with sudo, root's folder would lie in a user's home."""
    if os.environ.get("STRIATE_CACHE"):
        return ""
    nearest = next((parent for parent in path.parents if parent.exists()), path)
    if os.stat(nearest).st_uid != os.geteuid():
        return f"{nearest} belongs to another user; STRIATE_CACHE=FOLDER names another place"
    return ""


@dataclasses.dataclass(frozen=True)
class CacheState:
    """State of the cache, for reports."""

    path: Path | None
    why: str
    """Why it cannot be used, or an empty string."""
    owner: str | None = None
    mode: int | None = None
    files: int = 0
    bytes: int = 0


def state() -> CacheState:
    """Read the state of the cache; nothing is created."""
    path = cache_folder()
    folder, why = open_folder(make=False)
    if not why and _SOURCE_DIGEST is None:
        why = "llvmlite, or Striate's own source, is not to be found"
    try:
        about = os.lstat(path) if path is not None else None
    except OSError:
        about = None
    if about is None:
        return CacheState(path, why)
    sizes = []
    if folder is not None:
        with contextlib.closing(folder):
            sizes = [about.st_size for _, about in folder.files()]
    return CacheState(path, why, _user(about.st_uid), stat.S_IMODE(about.st_mode), len(sizes), sum(sizes))


def _user(number: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return str(number)


def clear() -> tuple[int, int]:
    """Remove all code from this user's folder, whoever wrote it; the folder itself stays.

    Returns the number of files and bytes removed. Raises SourceError if the folder belongs to another user.
    """
    path = cache_folder()
    if path is None or not os.path.lexists(path):
        return 0, 0
    try:
        handle = _open_directory(path)
        with contextlib.closing(Folder(handle, path)) as folder:
            if os.fstat(handle).st_uid != os.geteuid():
                raise SourceError(
                    f"{path}: the cache is not cleared",
                    why="the folder belongs to another user",
                    fix="set STRIATE_CACHE to a folder of your own",
                )
            return folder.clear()
    except OSError as error:
        raise SourceError(
            f"{path}: the cache is not cleared",
            why="it is a link" if path.is_symlink() else error.strerror or str(error),
            fix="remove it by hand, or set STRIATE_CACHE to a folder of your own",
        ) from None


__all__ = ["CacheState", "Folder", "cache_folder", "clear", "key", "open_folder", "state"]
