"""The text notation of a chain: `32x32x3 -> conv 5x5 6 -> relu -> maxpool 2`.

Decides how stages, names, repetitions and input sizes are written (height x width x channels, as in papers); `grammar`
decides how an op is written. Branches are refused: they need `.toml` or the Python builder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from striate.diagnostics import FormatError, LimitError, NotationError, StriateError, setting, suggest
from striate.formats.cursor import Cursor
from striate.formats.grammar import quoted, read_op
from striate.formats.tokens import Kind, Token, tokenize
from striate.network import UNNAMED, Builder, Network
from striate.op import ANY, Op, spelling
from striate.signatures import explain_misuse
from striate.tensor import TensorSpec, warn_of_axes

MAX_DEPTH = 32
"""Maximum depth of nested brackets; deeper ones are typing errors."""
MAX_NODES = 50_000
"""Maximum number of stages after repetitions are expanded; the deepest published network has some thousands."""

Shape = tuple[int, ...]
Size: TypeAlias = "str | Sequence[int] | Mapping[str, str | Sequence[int]]"
"""Input size as a text or as (C, H, W); or one of these by input name."""


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """One op of the chain, and its tokens."""

    op: Op
    name: str | None
    first: Token
    last: Token


def is_notation(text: str) -> bool:
    """Return whether a text is notation: it contains an arrow."""
    return "->" in text or "→" in text


@explain_misuse
def parse(text: str, name: str | None = None, input: Size | None = None) -> Network:
    """Parse a network in the notation: an input HxWxC and stages, joined by ``->``.

    text: such as ``32x32x3 -> conv 5x5 6 -> relu``; name: the network's; input: replaces the one in the text,
    "224x224x3", "224x224", "224" (pixels; the channels stay) or (C, H, W).
    Names of PyTorch and Keras are understood (``conv2d kernel_size=3``), with a note the first time.

    Raises NotationError with line, column and the nearest known word, OpError for a value out of range, LimitError for
    too long a text.

    >>> import striate as st
    >>> st.parse("7x7x1 -> conv 3x3 /2 -> relu").outputs
    ('relu1',)
    """
    cursor = Cursor(text, tokenize(text))
    shape = _input(cursor)
    if input is not None:
        shape = with_size({"input": shape}, input)["input"]
    if cursor.accept_arrow():
        stages = _chain(cursor, 0)
    else:
        raise _no_arrow(cursor, "the input")
    if cursor.token.kind is not Kind.END:
        opening = "(" if cursor.token.is_(")") else "["
        raise cursor.fail(f"unexpected {cursor.token}", f"no '{opening}' is open here", "leave it out")
    network = _build(cursor, name or UNNAMED, shape, stages)
    if cursor.spellings:
        spelling.remark(cursor.spellings, to_notation(network))
    return network


def _build(cursor: Cursor, name: str, shape: Shape, stages: Sequence[Stage]) -> Network:
    builder = Builder(name, input=shape)
    x = builder.input
    names: set[str] = set()
    for stage in stages:
        if stage.name in names:
            raise cursor.fail(
                f"two stages are named {stage.name!r}",
                why="names must be unique; a name inside [ ]*N is repeated",
                fix="leave out the name; nodes are numbered automatically: conv1, conv2, …",
                first=stage.first,
                last=stage.last,
            )
        if stage.op.arity not in (1, ANY) or stage.op.output_count != 1:
            problem = (
                f"takes {stage.op.arity or 'two or more'} inputs"
                if stage.op.arity not in (1, ANY)
                else f"makes {stage.op.output_count} outputs"
            )
            raise cursor.fail(
                f"{stage.op.word} cannot be used in a chain",
                why=f"it {problem}; a stage has one of each",
                fix="write branches in .toml or with st.Builder",
                first=stage.first,
                last=stage.last,
            )
        if stage.name:
            names.add(stage.name)
        try:
            x = builder(stage.op, x, name=stage.name)
        except StriateError as error:
            place = cursor.where(stage.first, stage.last)
            error.where = f"{error.where}\n{place}" if error.where else place
            raise
    return builder.build(x)


def _chain(cursor: Cursor, depth: int) -> list[Stage]:
    """Stages joined by '->', up to `]` or the end."""
    stages = _stage(cursor, depth)
    while cursor.accept_arrow():
        stages.extend(_stage(cursor, depth))
        _limit(cursor, len(stages))
    if cursor.token.kind is not Kind.END and not cursor.token.is_("]"):
        raise _no_arrow(cursor, "a stage")
    return stages


def _stage(cursor: Cursor, depth: int) -> list[Stage]:
    first = cursor.token
    if cursor.accept("["):
        return _block(cursor, first, depth + 1)
    name = None
    if first.kind in (Kind.WORD, Kind.TEXT) and cursor.ahead().is_(":"):
        name = cursor.take().text
        cursor.take()
        if not name:
            raise cursor.fail("an empty name", "nodes are identified by name", 'leave out "":', first=first)
    op = read_op(cursor)
    return [Stage(op, name, first, cursor.last)]


def _block(cursor: Cursor, opening: Token, depth: int) -> list[Stage]:
    """`a -> b]*2` after its opening bracket."""
    if depth > MAX_DEPTH:
        raise LimitError(
            f"brackets are nested more than {MAX_DEPTH} deep",
            where=cursor.where(opening),
            why="each level multiplies the stages inside it",
            fix="write out the inner repetition, or use st.Builder",
        )
    stages = _chain(cursor, depth)
    if not cursor.accept("]"):
        raise cursor.fail(
            "a '[' is not closed",
            "it is opened here",
            "write ] after the last stage of the block",
            first=opening,
        )
    if not cursor.accept("*"):
        return stages
    token = cursor.take()
    count = token.value
    if token.kind is not Kind.INTEGER or not isinstance(count, int) or count < 1:
        raise cursor.fail(
            f"a block cannot be repeated {token} times",
            why="expected a whole number of at least 1 after *",
            fix="write [ … ]*2",
            first=token,
        )
    _limit(cursor, len(stages) * count, token)
    return stages * count


def _limit(cursor: Cursor, nodes: int, token: Token | None = None) -> None:
    if nodes > MAX_NODES:
        raise LimitError(
            f"the network would have {nodes:,} nodes or more",
            where=cursor.where(token or cursor.last),
            why=f"a network has at most {MAX_NODES:,}",
            fix="repeat the block less often",
        )


def _no_arrow(cursor: Cursor, after: str) -> NotationError:
    token = cursor.token
    fix = f"write '->' {'in place of' if token.is_(',') else 'before'} {token}"
    if token.kind is Kind.END:
        fix = "such as '-> conv 3x3'"
    return cursor.fail(f"expected '->' after {after}, got {token}", "'->' joins stages", fix)


# ---------------------------------------------------------------------------------------------------- input sizes

_INPUT = "an input is HxWxC, HxW (one channel), DxHxWxC, '1d LxC' for a signal, or C for a flat vector"


def _input(cursor: Cursor) -> Shape:
    """The input at the cursor as (C, [D, [H,]] W)."""
    first = cursor.token
    if first.is_("("):
        _refuse_tuple(cursor.source[first.start :].partition(")")[0] + ")")
    rank = None
    if first.kind is Kind.WORD and first.text in ("1d", "2d", "3d"):
        rank = int(cursor.take().text[0])
    token = cursor.token
    if token.kind not in (Kind.INTEGER, Kind.SIZE):
        raise cursor.fail(
            f"expected the input size, got {token}", _INPUT, "begin with it: 32x32x3 -> conv 3x3 16"
        )
    sizes = token.value if isinstance(token.value, tuple) else (int(token.value or 0),)
    cursor.take()
    if rank is None:
        rank = {1: 0, 2: 2, 3: 2, 4: 3}.get(len(sizes), len(sizes))
    if len(sizes) - rank not in (0, 1) or rank > 3:
        raise cursor.fail(
            f"{len(sizes)} sizes do not make an input", _INPUT, "such as 32x32x3", first=first, last=token
        )
    if min(sizes) < 1:
        raise cursor.fail(
            f"the input {token.text} is empty",
            "every size must be at least 1",
            "such as 32x32x3",
            first=token,
        )
    channels = sizes[-1] if len(sizes) > rank else 1
    shape = (channels, *sizes[:rank])
    if first is token:
        warn_of_axes(shape, in_notation=True)
    return shape


def parse_size(text: str, like: Sequence[int] | None = None) -> Shape:
    """Parse a size in the order of papers, "224x224x3", to (C, H, W); "224x224" and "224" keep the channels of `like`.

    `like` is the (C, H, W), (C, L) or (C, D, H, W) of the network; without it an image of one channel is meant.
    Raises NotationError.

    >>> parse_size("224x160x3"), parse_size("64", like=(3, 32, 32))
    ((3, 224, 160), (3, 64, 64))
    """
    _refuse_tuple(text)
    cursor = Cursor(text, tokenize(text))
    first = cursor.token
    if like is None or (first.kind is not Kind.SIZE and first.kind is not Kind.INTEGER):
        shape = _input(cursor)
    else:
        channels, rank = like[0], len(like) - 1
        cursor.take()
        sizes = first.value if isinstance(first.value, tuple) else (int(first.value or 0),)
        if len(sizes) == 1 and rank > 0:
            sizes *= rank
        if len(sizes) == rank:
            sizes = (*sizes, channels)
        if len(sizes) != rank + 1:
            raise cursor.fail(
                f"{first.text} is not a size of this input",
                why=f"its input is {format_size(like)}: "
                + (f"give {rank} sizes, or {rank + 1} with the channels" if rank else "give its length"),
                fix=f"such as {format_size(like)}",
                first=first,
            )
        shape = (sizes[-1], *sizes[:-1])
        if shape[0] != channels:
            warn_of_axes(shape, in_notation=True)
    if cursor.token.kind is not Kind.END:
        raise cursor.fail(f"unexpected {cursor.token} after the size", _INPUT, "leave it out")
    return check_shape(shape)


def _refuse_tuple(text: str) -> None:
    """Refuse a size written as a Python shape, (1, 3, 224, 224), and suggest the size that is probably meant."""
    numbers = [number.strip() for number in text.strip("()[] ").split(",")]
    if len(numbers) < 2 or not all(number.isdecimal() for number in numbers):
        return
    sizes = numbers[1:] if len(numbers) == 4 else numbers
    if len(sizes) == 3 and int(sizes[0][:10]) < int(sizes[2][:10]):
        sizes = [*sizes[1:], sizes[0]]
    raise NotationError(
        f"{text[:40]} has commas",
        where=text[:40],
        why="write sizes joined by x, channels last",
        fix=f"write {'x'.join(sizes)[:40]}",
    )


def with_size(shapes: Mapping[str, Shape], request: Size) -> dict[str, Shape]:
    """Input name -> shape, after the requested changes. Raises NotationError."""
    return {**shapes, **requested_shapes(shapes, request)}


def requested_shapes(shapes: Mapping[str, Shape], request: Size) -> dict[str, Shape]:
    """Input name -> requested shape: of the only input, or of those that a mapping names.

    A size as a text is read as one of the input's rank: "64" is the length of a vector, or the side of an image.
    Raises NotationError.
    """
    if not isinstance(request, Mapping):
        if len(shapes) != 1:
            raise NotationError(
                "the network has several inputs",
                why=f"they are {_list_of_inputs(shapes)}; one size does not fit all of them",
                fix=setting("input", {name: format_size(shape) for name, shape in shapes.items()}),
            )
        request = dict.fromkeys(shapes, request)
    for name in request:
        if name not in shapes:
            near = suggest(str(name), shapes) or (next(iter(shapes)) if len(shapes) == 1 else None)
            raise NotationError(
                f"the network has no input {str(name)[:80]!r}",
                why=f"its inputs are {_list_of_inputs(shapes)}",
                fix=setting("input", {near: format_size(shapes[near])})
                if near
                else f"name one of them: {', '.join(shapes)}",
            )
    return {
        name: parse_size(size, like=shapes[name]) if isinstance(size, str) else _tuple(size, shapes[name])
        for name, size in request.items()
    }


def _tuple(size: Sequence[int], like: Shape) -> Shape:
    shape = check_shape(size)
    if shape[0] != like[0]:
        warn_of_axes(shape, in_notation=False)
    return shape


def _list_of_inputs(shapes: Mapping[str, Shape]) -> str:
    return ", ".join(f"{name} {format_size(shape)}" for name, shape in shapes.items())


def check_shape(shape: Sequence[int]) -> Shape:
    """Return `shape` (C, H, W) if it has one to four sizes of at least 1. Raises NotationError."""
    if 1 <= len(shape) <= 4 and all(isinstance(size, int) and size >= 1 for size in shape):
        return tuple(shape)
    raise NotationError(
        f"{tuple(shape)} is not an input",
        why="an input is (C, H, W), (C, L) or (C, D, H, W), every size at least 1",
        fix="such as 224x224x3",
    )


def format_size(shape: Sequence[int]) -> str:
    """Write a shape (C, H, W) in notation: HxWxC; a signal as `1d LxC`."""
    text = str(TensorSpec.image(shape))
    return f"1d {text}" if len(shape) == 2 else text


# ---------------------------------------------------------------------------------------------------- writing


@explain_misuse
def to_notation(network: Network, width: int = 100) -> str:
    """Write a chain in notation; `parse` returns the same nodes.

    network: a network without branches; width: maximum characters of a line. A name is written only where automatic
    numbering would not give it. Raises FormatError for a network with branches.

    >>> import striate as st
    >>> st.to_notation(st.parse("8x8x3 -> conv2d kernel_size=3 padding=1 -> ReLU"))
    '8x8x3 -> conv 3x3 pad 1 -> relu'
    """
    _refuse_branches(network)
    specs = network.inference.specs
    read = [(node.op, specs.get(node.inputs[0])) for node in network.nodes]
    phrases = [op.phrase(len(spec.spatial) if spec else 2) for op, spec in read]
    names = [node.name for node in network.nodes]
    explicit = [False] * len(names)
    # First without names; then with those that counting does not give; and, when these disturb the counting, with all.
    for _ in range(3):
        stages = [f"{quoted(n)}: {p}" if e else p for n, p, e in zip(names, phrases, explicit, strict=True)]
        text = _wrap((format_size(network.input.without_batch), *stages), width)
        automatic = [node.name for node in parse(text).nodes]
        if automatic == names:
            return text
        explicit = (
            [True] * len(names) if any(explicit) else [a != b for a, b in zip(names, automatic, strict=True)]
        )
    raise FormatError(
        "the network cannot be written in notation",
        why="its names have no spelling there",
        fix="write .toml instead",
    )


def _wrap(stages: Sequence[str], width: int) -> str:
    """Stages joined by '->', broken before an arrow where a line grows beyond `width`."""
    lines = [stages[0]]
    for stage in stages[1:]:
        if len(lines[-1]) + len(stage) + 4 > width:
            lines.append(f"  -> {stage}")
        else:
            lines[-1] += f" -> {stage}"
    return "\n".join(lines)


def _refuse_branches(network: Network) -> None:
    before = "input"
    problem = (
        ""
        if list(network.inputs) == [before]
        else f"its inputs are {', '.join(network.inputs)}; a chain has one, named input"
    )
    for node in network.nodes:
        if node.inputs != (before,) or len(node.outputs) != 1:
            problem = (
                problem or f"{node.name} reads {', '.join(node.inputs)}; a stage reads only the one before it"
            )
        before = node.outputs[0] if node.outputs else node.name
    if network.outputs != (before,):
        problem = problem or f"its outputs are {', '.join(network.outputs)}; a chain has one, its last stage"
    if problem:
        raise FormatError("the network is not a chain", why=problem, fix="write .toml, which has branches")


__all__ = [
    "MAX_DEPTH",
    "MAX_NODES",
    "check_shape",
    "format",
    "format_size",
    "parse",
    "parse_size",
    "with_size",
]
