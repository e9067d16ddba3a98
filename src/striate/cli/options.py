"""Shared parts of commands: the MODEL argument, --input, --json, the page on stdout, completion of names.

Heavy modules are imported inside functions, so that a command loads only what it needs.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from striate.diagnostics import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from striate.fields import Option
    from striate.formats.loaded import Loaded
    from striate.formats.notation import Size
    from striate.model import Model as TrainedModel
    from striate.network import Network
    from striate.views.drawing.picture import Picture
    from striate.views.schemas.networks import Show
    from striate.views.text.page import Page

if TYPE_CHECKING:
    _Type = click.ParamType[str]
else:
    _Type = click.ParamType  # not generic before click 8.2

MAX_STEM = 40
"""Characters of a name that is proposed for a file."""
PAGES = (".html", ".htm")
"""Endings of files that are pages."""
Command = TypeVar("Command", bound=Callable[..., Any])


class Model(_Type):
    """A MODEL argument; completes catalogue names and files."""

    name = "MODEL"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from striate.models.catalogue import entries

        items = [
            CompletionItem(e.name, help=e.family.name) for e in entries() if e.name.startswith(incomplete)
        ]
        return [*items, CompletionItem(incomplete, type="file")]


class Names(_Type):
    """A word whose values are listed only for completion; the command validates it."""

    name = "NAME"

    def __init__(self, name: str, values: Callable[[], Iterable[str]]) -> None:
        self.name = name
        self.values = values

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(word) for word in self.values() if word.lower().startswith(incomplete.lower())]


METAVARS = {
    "count": "N", "number": "X", "numbers": "X,X", "choice": "WORD", "choices": "WORDS", "text": "TEXT", "path": "FILE",
    "memory": "SIZE", "amount": "N", "codes": "CODES",
}  # fmt: skip
"""Metavar of a declared setting, by kind."""


def setting_flag(option: Option, type: Any = None) -> tuple[str, dict[str, Any]]:
    """Name and arguments of `click.option` for a declared setting; the value None means that the flag is absent."""
    text = option.doc + (f" [{option.shown}]" if option.shown not in ("", "none") else "")
    if option.kind == "flag":
        return f"{option.flag}/--no-{option.flag.removeprefix('--')}", {"default": None, "help": text}
    if option.choices:
        type = Names(METAVARS[option.kind], lambda: option.choices)
        text += f" ({', '.join(option.choices)})"
    if option.kind == "path":
        type = click.Path()
    return option.flag, {"metavar": METAVARS[option.kind], "type": type or str, "help": text}


model_argument = click.argument("model", type=Model())


def sizes(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> str | dict[str, str] | None:
    """The value of --input: None, one size, or sizes by the names of the inputs."""
    if not values:
        return None
    pairs = [text.rpartition("=") for text in values]
    if not any(mark for _, mark, _ in pairs):
        if len(values) > 1:
            raise click.BadParameter(
                f"{' and '.join(values)} need the names of inputs: {param.opts[0]} NAME={values[0]}"
            )
        return values[0]
    by_name: dict[str, str] = {}
    for text, (name, mark, size) in zip(values, pairs, strict=True):
        if not mark or not name:
            raise click.BadParameter(f"{text} needs the name of an input: {param.opts[0]} NAME={size}")
        if name in by_name:
            raise click.BadParameter(f"{name} has two sizes, {by_name[name]} and {size}")
        by_name[name] = size
    return by_name


def size_option(*flags: str, help: str) -> Callable[[Command], Command]:
    """An option that takes a size, or several of the form NAME=SIZE."""
    return click.option(*flags, metavar="[NAME=]HxWxC", multiple=True, callback=sizes, help=help)


input_option = size_option(
    "--input",
    "input",
    help="Input size, such as 224x224x3 or 224; with several inputs: --input left=32x32x3 --input right=64.",
)
weights_option = click.option(
    "--weights",
    type=click.Path(),
    metavar="FILE",
    help="Load weights from a run folder, .safetensors, .onnx, .pth or .pt.",
)
mean_option = click.option(
    "--mean",
    metavar="X,X,X",
    help="Per-channel mean of the pixels (0 to 1), if the model does not record it.",
)
std_option = click.option("--std", metavar="X,X,X", help="Per-channel standard deviation of the pixels.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
output_option = click.option(
    "-o", "--output", type=click.Path(), metavar="FILE", help="Write to FILE instead of standard output."
)

picture_output_option = click.option(
    "-o", "--output", type=click.Path(), metavar="FILE",
    help="Write a page (.html), a picture (.svg .png .pdf) or with --json the record to FILE.",
)  # fmt: skip
batch_size_option = click.option(
    "--batch-size", default=64, metavar="N", type=click.IntRange(1), help="Images per batch [64]."
)


def split_option(unnamed: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--split`. unnamed: the part that is taken without it."""
    return click.option(
        "--split",
        default="",
        metavar="PART",
        type=Names("PART", lambda: ("train", "validation", "test", "all")),
        help=f"Part of the data: train, validation, test or all [{unnamed}].",
    )


def _engines() -> tuple[str, ...]:
    from striate.engine.registry import ENGINES

    return ENGINES


engine_option = click.option(
    "--engine", default="auto", metavar="NAME", type=Names("NAME", _engines),
    help="Engine: compiled (machine code for this processor), numpy (runs everywhere), torch or auto [auto].",
)  # fmt: skip
device_option = click.option(
    "--device", default="", metavar="NAME", type=Names("NAME", lambda: ("cpu", "cuda", "mps")),
    help="Device of the torch engine: cpu, cuda, cuda:1, mps [a GPU if there is one].",
)  # fmt: skip


def _theme(context: click.Context, parameter: click.Parameter, word: str) -> str:
    from striate.views.drawing.svg import known_word

    return word if context.resilient_parsing else known_word("theme", word)


theme_option = click.option(
    "--theme", default="auto", metavar="WORD", callback=_theme,
    type=Names("WORD", lambda: ("auto", "light", "dark")),
    help="Theme of the picture: auto, light or dark [auto: as the reader's system].",
)  # fmt: skip


def refuse_theme(theme: str, drawn: bool) -> None:
    """Raise UsageError for a theme of what is not a picture. drawn: whether a picture is written."""
    if theme != "auto" and not drawn:
        raise UsageError(
            "only a picture has a theme",
            where=f"--theme {theme}",
            why="pages and text follow the reader's system, JSON has no colors",
            fix="leave out --theme, or -o picture.svg",
        )


def one_node(names: Sequence[str], command: str, model: str, net: Network, why: str) -> str:
    """The only node that is named. why: a command needs one. Raises UsageError for none and for several."""
    if len(names) == 1:
        return names[0]
    first = names[0] if names else next((node.name for node in net), "NAME")
    raise UsageError(
        f"{'several nodes are' if names else 'no node is'} named",
        where=f"striate {command}",
        why=why,
        fix=f"--node {first}; striate show {shlex.quote(model)} lists all nodes",
    )


def numbers_of(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, ...]:
    """`5` or `5,3` as numbers, also written 5x3: the value of an option whose metavar says what they are."""
    try:
        return tuple(int(word) for word in text.replace("x", ",").split(",")) if text else ()
    except ValueError:
        what = f"{text!r} is not a list of numbers"
        raise click.BadParameter(f"{what}; write {parameter.metavar}, for example 3,4") from None


def load(model: str, input: Size | None = None) -> Loaded:
    """Load the network of a MODEL argument."""
    from striate.formats import load

    return load(model, input)


def show_record(net: Network, convention: str = "striate") -> Show:
    """The record of a network with the findings of a check under the settings of this folder."""
    from striate.checks import Config, check
    from striate.views import json_records

    return json_records.show_record(net, convention, check(net, Config.find()).findings)


def load_trained(
    model: str, weights: str | None, mean: str | None, std: str | None, engine: str, device: str
) -> TrainedModel:
    """Load a model with weights; mean, std: instead of the transformation that it records."""
    from striate.model import Model
    from striate.train.evaluate_model import normalization

    result = Model.load(model, weights=weights, engine=engine, device=device)
    if mean is not None or std is not None:
        result.transform = normalization(result.net, mean or "", std or "")
    return result


def page() -> Page:
    """An empty page for standard output."""
    from striate.terminal import Terminal
    from striate.views.text.page import Page

    return Page(Terminal.of(sys.stdout))


def emit(text: object, path: str | None = None, kind: str = "text") -> None:
    """Print `text`, or write it to `path` as UTF-8, through a temporary file, so that it is never half written.

    kind: "text", "json" or "xml": how to write characters that standard output cannot encode.
    """
    if path is None or path == "-":
        sys.stdout.write(_encodable(str(text), kind))
        return
    from striate.files import write_aside

    write_aside(path, str(text).encode())
    written(path)


def save(picture: Picture, path: str | None) -> None:
    """Write a picture to `path`, in the format of its suffix; to standard output as SVG."""
    if path is None or path == "-":
        drawing = picture.scene["drawing"]
        what = f"{drawing['title']}: {drawing['kind']}, {drawing['width']:g} x {drawing['height']:g} pixels"
        emit_document(lambda: picture.svg, path, what, drawing["title"], ".svg")
        return
    picture.save(path)
    written(path)


def written(path: str) -> None:
    """Say on standard error that a file was written, and its size; a device or a pipe has none."""
    import os

    from striate.views.text.number_format import size

    if os.path.isfile(path):
        click.echo(f"{path}: {size(os.path.getsize(path))} written", err=True)


def emit_document(make: Callable[[], str], path: str | None, what: str, name: str, suffix: str) -> None:
    """Write a document for other programs to `path`, or to standard output; for "-" also to a terminal.

    A terminal gets two lines instead of markup: what it is, and how it is written. name, suffix: of
    a file for it.
    """
    from striate.terminal import is_terminal

    if path is not None or not is_terminal(sys.stdout):
        emit(make(), path, "xml")
        return
    stem = re.sub(r"[^\w.+-]+", "-", name).strip("-.")[:MAX_STEM]
    out = page()
    out.line([(what, "bold")])
    out.fields(
        [
            ("write it", f"-o {stem or 'picture'}{suffix}"),
            ("print it", "-o - (a pipe or a file gets it without)"),
        ]
    )
    emit(out)


def _encodable(text: str, kind: str) -> str:
    """`text` in characters that standard output can encode."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        if kind == "json":
            import json

            return "".join(c if c.isascii() else json.dumps(c)[1:-1] for c in text)
        if kind == "xml":
            return text.encode("ascii", "xmlcharrefreplace").decode()
        from striate.terminal import in_ascii

        return in_ascii(text)
    return text


def emit_json(record: object, path: str | None = None) -> None:
    """Print a record as JSON, one node or row per line."""
    from striate.jsontext import json_text

    emit(json_text(record), path, "json")


def examples(*lines: str) -> str:
    """The epilog of a command's help."""
    return "\n".join(["\b", "examples", *(f"  {line}" for line in lines)])
