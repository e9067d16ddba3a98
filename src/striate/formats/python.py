"""Networks built by a user's Python file or module.

Decides which object of a module is meant and how a failure in user code is reported (its file, line and message, no
traceback). A `.py` file is executed, as `python file.py` would; a file that Striate wrote is not
(`torch.striate_metadata`).
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from striate.diagnostics import FormatError, SourceError, StriateError, by_reader, setting, suggest, warn
from striate.extras import install_command
from striate.formats import notation
from striate.formats.loaded import Loaded, structure
from striate.formats.notation import Size
from striate.formats.text_files import read_text
from striate.formats.torch.striate_metadata import network as own_network
from striate.network import Builder, Network

ATTRIBUTES = ("net", "network", "model")
"""Default attribute of a .py file without `file.py:attribute`."""
EXTRAS = {"h5py": "keras", "onnx": "onnx", "torch": "torch"}
"""Package -> the extra of Striate that installs it."""
WRITTEN = "model"
"""Attribute name in files that Striate wrote."""


def from_file(path: Path, attribute: str = "", input: Size | None = None) -> Loaded:
    """Load the network of a `.py` file: `attribute`, else `net`, `network` or `model`, else the only network in it.

    A file that Striate wrote is not executed: it describes its network in a comment.
    """
    source = read_text(path)
    if attribute in ("", WRITTEN) and (network := own_network(source)) is not None:
        return with_input_size(structure(network), input)
    module = ModuleType(f"_striate_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and annotations look their module up
    with _running(str(path), path.resolve().parent):
        exec(compile(source, str(path), "exec"), module.__dict__)
    if not attribute:
        return _only_network(module, str(path), input)
    return from_value(_look_up(module, attribute, str(path)), f"{path}:{attribute}", input)


def from_module(name: str, attribute: str, input: Size | None = None) -> Loaded:
    """Load the network `name:attribute`; the current directory is on the path."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise SourceError(
            f"{name!r} is not a module",
            why="a network in Python is written package.module:attribute or file.py:attribute",
            fix="such as mypackage.nets:lenet",
        )
    with _running(name, Path.cwd()):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and (name == error.name or name.startswith(error.name + ".")):
                raise SourceError(
                    f"there is no module {error.name}",
                    where=f"{name}:{attribute}",
                    why="it is not installed and not in the current directory",
                    fix="check the spelling, or give the file: path/to/file.py:attribute",
                ) from None
            raise
    return from_value(_look_up(module, attribute, name), f"{name}:{attribute}", input)


def with_input_size(network: Loaded, input: Size | None) -> Loaded:
    """Change the input sizes of `network`; the channels may be left out. Raises NotationError."""
    if input is None:
        return network
    shapes = {name: spec.without_batch for name, spec in network.inputs.items()}
    return network.with_input(notation.requested_shapes(shapes, input))


@contextlib.contextmanager
def _running(name: str, folder: Path) -> Iterator[None]:
    """Run user code with `folder` on the path; its output goes to stderr, its exceptions become a FormatError."""
    sys.path.insert(0, str(folder))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except StriateError as error:
        error.where = f"{_where(error)}\n{error.where}".strip()
        raise
    except SyntaxError as error:
        line = f"{error.filename or name}:{error.lineno or 1}"
        source = f"\n{error.text.strip()}" if error.text else ""
        raise FormatError(
            f"{name} has a syntax error", where=line + source, why=str(error.msg), fix="correct that line"
        ) from None
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise FormatError(
            f"{name} fails with {type(error).__name__}",
            where=_where(error) or name,
            why=why if len(why) <= 500 else why[:497] + "...",
            fix=_fix(error, name),
        ) from None
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))


def _where(error: BaseException) -> str:
    """File, line number and source of the innermost line in the user's code."""
    package = str(Path(__file__).resolve().parents[1])
    frames = traceback.extract_tb(error.__traceback__)
    outside = [f for f in frames if not f.filename.startswith((package, "<"))]
    return f"{outside[-1].filename}:{outside[-1].lineno}\n{outside[-1].line}".rstrip() if outside else ""


def _fix(error: BaseException, name: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        if package in EXTRAS:
            return install_command(EXTRAS[package])
        return f"install {package} into this environment"
    return f"run `python {name}` to see the full traceback" if name.endswith(".py") else "correct that line"


def _look_up(module: ModuleType, attribute: str, name: str) -> Any:
    value: Any = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            nearest = (
                suggest(part, (word for word in vars(value) if not word.startswith("_")))
                if hasattr(value, "__dict__")
                else ""
            )
            networks = ", ".join(_candidates(module))
            raise SourceError(
                f"{name} has no {part!r}",
                where=f"{name}:{attribute}",
                why=f"its networks are {networks}" if networks else "it defines no network",
                fix=f"did you mean {nearest}?"
                if nearest
                else "name an attribute that holds a network, or a function that returns one",
            )
        value = getattr(value, part)
    return value


def _candidates(module: ModuleType) -> list[str]:
    """Names of a module's networks; if it has none, of its functions without required arguments."""
    public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    networks = [
        name
        for name, value in public.items()
        if isinstance(value, Network | Builder) or (_is_torch(value) and not isinstance(value, type))
    ]
    return networks or [
        name
        for name, value in public.items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not _required_arguments(value)
    ]


def _only_network(module: ModuleType, path: str, input: Size | None) -> Loaded:
    for name in ATTRIBUTES:
        if hasattr(module, name):
            return from_value(getattr(module, name), f"{path}:{name}", input)
    names = _candidates(module)
    if len(names) == 1:
        return from_value(getattr(module, names[0]), f"{path}:{names[0]}", input)
    if names:
        raise SourceError(
            f"{path} has several networks",
            where=path,
            why=f"it defines {', '.join(names)}",
            fix=" or ".join(f"{path}:{name}" for name in names[:3]),
        )
    raise SourceError(
        f"{path} defines no network",
        where=path,
        why=f"it has no {', '.join(ATTRIBUTES[:-1])} or {ATTRIBUTES[-1]}, and no function that returns a network",
        fix='net = striate.parse("32x32x3 -> conv 3x3 16"), or a function that returns a network',
    )


def _required_arguments(value: Any) -> list[str]:
    """Required arguments of a callable."""
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return []
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in variadic]


def _is_torch(value: Any) -> bool:
    kind = value if isinstance(value, type) else type(value)
    return any(c.__module__.startswith("torch.nn") and c.__name__ == "Module" for c in kind.__mro__)


def from_value(value: Any, name: str, input: Size | None, called: bool = False) -> Loaded:
    """The network that a value is, builds or returns, at the input size if one is given."""
    if isinstance(value, Network):
        return with_input_size(structure(value), input)
    if isinstance(value, Builder):
        with _running(name, Path.cwd()):
            return with_input_size(structure(value.build()), input)
    if _is_torch(value) and not isinstance(value, type):
        return _from_torch(value, name, input)
    if callable(value) and not called and not hasattr(value, "net"):
        if missing := _required_arguments(value):
            raise SourceError(
                f"{name} needs arguments",
                where=name,
                why=f"{', '.join(missing)} have no default; Striate calls the function without arguments",
                fix="give them defaults, or name a function that calls it",
            )
        with _running(name, Path.cwd()):
            value = value()
        return from_value(value, f"{name}()", input, called=True)
    kind = f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
    bare = name == type(value).__name__.lower()  # a value that no source names
    raise FormatError(
        f"{'None' if value is None else f'a value of type {kind}' if bare else name} is not a network",
        where="" if bare else name,
        why="" if bare else f"it is of type {kind}",
        fix="give a striate Network, a torch.nn.Module, or a function that returns one",
    )


def _from_torch(module: Any, name: str, input: Size | None) -> Loaded:
    """Trace a torch.nn.Module at the given input; without one, at a size that its first layer suggests."""
    from striate.formats.torch import fitting_input, from_torch, usual_input

    usual = usual_input(module)
    shape: Any = usual
    declared = bool(getattr(module, "default_cfg", None))
    if isinstance(input, Mapping):  # a module declares no sizes that these could be read against
        shape = {k: notation.parse_size(v) if isinstance(v, str) else v for k, v in input.items()}
    elif input is not None:
        shape = notation.with_size({"input": usual}, input)["input"]
    title = name.rpartition(":")[2].removesuffix("()")
    try:
        with _running(name, Path.cwd()):
            try:
                network = from_torch(module, shape, title)
            except FormatError:  # it may take one size only, and another one
                fitting = None if input is not None else fitting_input(module, usual)
                if fitting is None or fitting == usual:
                    raise
                shape = fitting
                network = from_torch(module, shape, title)
    except StriateError as error:
        if input is None and isinstance(error, FormatError):
            error.fix = f"give the size of its input: {setting('input', 'HxWxC')}"
        raise error.at("", name) from None
    if input is None and not declared:
        warn(
            f"{name} does not declare its input size: {notation.format_size(shape)} is assumed; "
            f"{by_reader('input=(C, H, W)', '--input HxWxC')} sets another"
        )
    return network
