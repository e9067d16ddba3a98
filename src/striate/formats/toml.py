"""The `.toml` form of a network: every Network, branches included, for people to read and write::

    [network]
    name = "tiny"
    input = "32x32x3"           # height x width x channels

    [[node]]
    name = "conv1"
    op = "conv"                 # or the whole phrase: op = "conv 3x3 16 pad same"
    kernel = 3
    filters = 16
    padding = "same"

    [[node]]
    op = "add"                  # without a name it is numbered: add1
    inputs = ["conv1", "input"] # without inputs it reads the node before

`outputs = ["add1"]` under `[network]` names the outputs; without it, every value that no node reads is an output.
Several inputs are a table, `[network.inputs]`. A node may share another node's parameters, or declare some of its
parameters as not trained::

    [[node]]
    op = "conv 3x3 16 pad same"
    shares = "conv1"                        # all of them; some: shares = {weight = "conv1.weight"}

    [[node]]
    op = "dwconv 3x3 /2"
    fixed = ["weight"]                      # a constant; frozen = ["weight"]: counted, and not trained

Decides keys and defaults; ops declare their fields.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from striate.diagnostics import FormatError, LimitError, Place, StriateError, plural, suggest
from striate.fields import shown
from striate.fields import toml as field_toml
from striate.formats import notation
from striate.formats.cursor import Cursor
from striate.formats.grammar import MAX_LIST, read_field, read_op
from striate.formats.tokens import MAX_NUMBER, MAX_TEXT, tokenize
from striate.network import UNNAMED, Network, Node, sharing, unread
from striate.op import Op, op_class, registry, spelling
from striate.tensor import TensorSpec

MAX_NODES = notation.MAX_NODES
MAX_INPUTS = 1000
"""Maximum inputs of one node; DenseNet-264 joins 65 values."""
_MAX_STRING = 1000
_MAX_DOTS = 100
"""Maximum dots in one line: the time to read a dotted key grows with their square."""

Table = Mapping[str, Any]


def parse(text: str, name: str | None = None, input: notation.Size | None = None, file: str = "") -> Network:
    """Parse a `.toml` text; `name` and `input` replace those in it, `file` is named in errors.

    Raises FormatError for text that is not a network, GraphError for cyclic or dangling names, OpError, LimitError.
    """
    data = _read(text, file)
    _check_keys(data, ("network", "node"), "the file", file)
    head = _table(data.get("network"), "[network]", file)
    _check_keys(head, ("name", "input", "inputs", "outputs", "aliases"), "[network]", file)
    inputs = _inputs(head, input, file)
    tables = _tables(data.get("node"), file)
    nodes = _nodes(tables, inputs, _lines(text, len(tables)), file)
    if "outputs" in head:
        outputs = _names(head["outputs"], "outputs of [network]", file)
    else:
        outputs = unread(nodes) or (nodes[-1].name,)
    title = name or _name(head.get("name", UNNAMED), "name of [network]", file)
    try:
        aliases = sharing.read_aliases(head.get("aliases", {}))
        network = Network(title, inputs, nodes, outputs, aliases=aliases)
        _ = network.inference  # An op that does not fit its input raises here, with the line of its node.
    except StriateError as error:
        raise _at_place(error, error.place, file) from None
    return network


def _read(text: str, file: str) -> dict[str, Any]:
    import tomllib

    if len(text) > MAX_TEXT:
        raise LimitError(
            f"the text has {plural(len(text), 'character')}",
            where=file,
            why=f"a network is described in at most {MAX_TEXT:,}",
            fix="build it with the Python API",
        )
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MAX_DOTS:
            raise LimitError(
                f"line {number} has more than {_MAX_DOTS} dots",
                where=f"{file or 'line'}:{number}",
                why="keys of a network file are not nested",
                fix="use [network] and [[node]] tables only",
            )
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise LimitError(
            "the brackets are nested too deeply",
            where=file,
            why="values of a network file are at most lists of pairs",
            fix="write padding = [[1, 1], [2, 2]]",
        ) from None
    except ValueError as error:  # a TOMLDecodeError, or a number of too many digits
        raise FormatError(
            f"{file or 'the text'} is not TOML",
            where=file,
            why=str(error)[:200],
            fix="correct that line; a network file has [network] and [[node]] tables",
        ) from None


def _lines(text: str, count: int) -> list[int | None]:
    """The line of each node's header; all None if their numbers differ."""
    lines: list[int | None] = [
        number
        for number, line in enumerate(text.split("\n"), 1)
        if line.replace(" ", "").replace("\t", "").startswith(("[[node]]", "[node."))
    ]
    return lines if len(lines) == count else [None] * count


def _inputs(head: Table, request: notation.Size | None, file: str) -> dict[str, TensorSpec]:
    if ("input" in head) == ("inputs" in head):
        raise FormatError(
            "[network] needs one of input and inputs",
            where=file,
            why="got both" if "input" in head else "got neither",
            fix='write input = "32x32x3"',
        )
    sizes = {"input": head["input"]} if "input" in head else _table(head["inputs"], "[network.inputs]", file)
    shapes = {}
    for name, size in sizes.items():
        if not isinstance(size, str):
            raise FormatError(
                f"the input {shown(name)} is {shown(size)}",
                where=file,
                why="an input is a text, height x width x channels",
                fix='write input = "32x32x3"',
            )
        try:
            shapes[_name(name, "an input's name", file)] = notation.parse_size(_short(size, "input", file))
        except StriateError as error:
            raise _at_place(error, None, file) from None
    if not shapes:
        raise FormatError(
            "[network.inputs] is empty",
            where=file,
            why="a network needs an input",
            fix='write input = "32x32x3"',
        )
    if request is not None:
        shapes = notation.with_size(shapes, request)
    return {name: TensorSpec.image(shape) for name, shape in shapes.items()}


def _tables(nodes: Any, file: str) -> list[Table]:
    """The nodes' tables, from [[node]] or from [node.NAME]."""
    if isinstance(nodes, dict) and nodes and all(isinstance(table, dict) for table in nodes.values()):
        nodes = [{"name": name, **table} for name, table in nodes.items()]
    if not isinstance(nodes, list) or not nodes or not all(isinstance(table, dict) for table in nodes):
        raise FormatError(
            "there are no [[node]] tables",
            where=file,
            why="a network is a list of nodes" + (f"; got node = {shown(nodes)}" if nodes else ""),
            fix='start each node with a line [[node]], then op = "conv", kernel = 3, …',
        )
    if len(nodes) > MAX_NODES:
        raise LimitError(
            f"{plural(len(nodes), 'node')}",
            where=file,
            why=f"a network has at most {MAX_NODES:,}",
            fix="build it with the Python API",
        )
    return nodes


def _nodes(
    tables: Sequence[Table], inputs: Mapping[str, TensorSpec], lines: Sequence[int | None], file: str
) -> tuple[Node, ...]:
    nodes: list[Node] = []
    counts: dict[str, int] = {}
    before = next(iter(inputs)) if len(inputs) == 1 else None
    for index, (table, line) in enumerate(zip(tables, lines, strict=True)):
        place = None if line is None else Place(file or "line", line)
        label = table["name"] if isinstance(table.get("name"), str) else f"[[node]] number {index + 1}"
        try:
            op = _op(table)
            counts[op.word] = counts.get(op.word, 0) + 1
            name = _name(table.get("name", f"{op.word}{counts[op.word]}"), "name", "")
            if "inputs" in table:
                reads = _names(table["inputs"], f"inputs of {name}", "")
            elif before is None:
                raise FormatError(
                    f"{name} has no inputs",
                    why="the node before it has several outputs",
                    fix='write inputs = ["name", …]',
                )
            else:
                reads = (before,)
            if op.output_count > MAX_INPUTS:
                raise LimitError(
                    f"{name} has {plural(op.output_count, 'output')}",
                    why=f"at most {MAX_INPUTS:,} are read",
                    fix="split into fewer parts",
                )
            node = Node(name, op, reads, place, **sharing.from_dict(table))
        except StriateError as error:
            error.node = error.node or str(label)[:80]
            raise _at_place(error, place, file) from None
        nodes.append(node)
        before = node.outputs[0] if len(node.outputs) == 1 else None
    return tuple(nodes)


def _op(table: Table) -> Op:
    word = table.get("op")
    if not isinstance(word, str) or not word.strip():
        raise FormatError("every node needs an op", why=f"got op = {shown(word)}", fix='write op = "conv"')
    source = _short(word, "op", "")
    tokens = tokenize(source)
    settings = {
        key: value for key, value in table.items() if key not in ("name", "inputs", "op", *sharing.FIELDS)
    }
    if len(tokens) == 2:
        word = spelling.op_word(source.strip(), registry())
        cls = op_class(word)
        op = Op.from_dict({"op": word, **_fields(cls, settings)})
        spelling.remark({source.strip(): word} if word != source.strip() else {}, str(op))
        return op
    cursor = Cursor(source, tokens)
    op = read_op(cursor)
    spelling.remark(cursor.spellings, str(op))
    if cursor.at < len(tokens) - 1:
        raise cursor.fail(
            f"unexpected {cursor.token}", "op is one operation", "give each stage its own [[node]]"
        )
    fields = _fields(type(op), settings)
    Op.from_dict({"op": op.word, **op.to_dict(), **fields})  # names what it does not know
    return dataclasses.replace(op, **fields)


def _fields(cls: type[Op], settings: Table) -> dict[str, Any]:
    """Fields as an op takes them: tuples for lists; a text such as "3x3" is read as notation."""
    kinds = {field.name: field for field in dataclasses.fields(cls)}
    fields = {}
    for name, value in spelling.arguments(settings, kinds, cls.word).items():
        value = _value(value, name)
        if (
            isinstance(value, str)
            and name in kinds
            and kinds[name].metadata["kind"] in ("sizes", "padding", "ints")
        ):
            cursor = Cursor(value, tokenize(value))
            value = read_field(cursor, kinds[name], cls.word)
            if cursor.at < len(cursor.tokens) - 1:
                raise cursor.fail(f"unexpected {cursor.token}", f"{name} is one value", "leave it out")
        fields[name] = value
    return fields


def _value(value: Any, name: str, depth: int = 0) -> Any:
    if isinstance(value, str):
        return _short(value, name, "")
    if isinstance(value, int) and abs(value) > MAX_NUMBER:
        raise LimitError(
            f"{name} is too large",
            why=f"sizes and counts go up to {MAX_NUMBER:,}",
            fix="use a smaller number",
        )
    if isinstance(value, list):
        if depth > 1 or len(value) > MAX_LIST:
            raise LimitError(
                f"{name} is too long or nested too deeply",
                why="it is at most a list of pairs",
                fix="write [[1, 1], [2, 2]]",
            )
        return tuple(_value(item, name, depth + 1) for item in value)
    return value


# ---------------------------------------------------------------------------------------------------- small checks


def _table(value: Any, what: str, file: str) -> Table:
    if not isinstance(value, dict):
        raise FormatError(
            f"there is no {what} table",
            where=file,
            why="it declares the input of the network" if value is None else f"got {shown(value)}",
            fix='add [network] with name = "tiny" and input = "32x32x3"',
        )
    return value


def _check_keys(table: Table, known: Sequence[str], what: str, file: str) -> None:
    for key in table:
        if key not in known:
            near = suggest(key[:40], known)
            raise FormatError(
                f"{what} has an unknown key {shown(key)}",
                where=file,
                why=f"its keys are {', '.join(known)}",
                fix=f"did you mean {near!r}?" if near else "leave it out",
            )


def _names(value: Any, what: str, file: str) -> tuple[str, ...]:
    """One or more value names; a single name needs no brackets."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not items or not all(isinstance(item, str) for item in items):
        raise FormatError(
            f"{what} is {shown(value)}",
            where=file,
            why="it is a list of names",
            fix='write ["conv1", "conv2"]',
        )
    if len(items) > MAX_INPUTS:
        raise LimitError(
            f"{what} has {len(items):,} names",
            where=file,
            why=f"at most {MAX_INPUTS:,} are read",
            fix="shorten the list",
        )
    return tuple(_short(item, what, file) for item in items)


def _name(value: Any, what: str, file: str) -> str:
    if isinstance(value, str) and value and value.isprintable():
        return _short(value, what, file)
    raise FormatError(
        f"{what} is {shown(value)}",
        where=file,
        why="a name is a text of printable characters",
        fix='write name = "conv1"',
    )


def _short(value: str, what: str, file: str) -> str:
    if len(value) > _MAX_STRING:
        raise LimitError(
            f"{what} has {plural(len(value), 'character')}",
            where=file,
            why=f"at most {_MAX_STRING:,} are read",
            fix="shorten it",
        )
    return value


def _at_place(error: StriateError, place: Place | None, file: str) -> StriateError:
    """Put file and line before the `where` of an error."""
    at = str(place) if place else file
    error.place = error.place or place
    if at and not error.where.startswith(at):
        error.where = f"{at}\n{error.where}" if error.where else at
    return error


# ---------------------------------------------------------------------------------------------------- writing


def format(network: Network) -> str:
    """Write a network as `.toml`; `parse` returns the same network. Raises FormatError for a field without a value."""
    lines = ["[network]", f"name = {format_value(network.name)}"]
    sizes = {name: notation.format_size(spec.without_batch) for name, spec in network.inputs.items()}
    if list(sizes) == ["input"]:
        lines.append(f"input = {format_value(sizes['input'])}")
    if network.outputs != unread(network.nodes):
        lines.append(f"outputs = {format_value(network.outputs)}")
    if network.aliases:
        lines.append(f"aliases = {format_value(dict(network.aliases))}")
    if list(sizes) != ["input"]:
        lines += [
            "",
            "[network.inputs]",
            *(f"{format_value(name)} = {format_value(size)}" for name, size in sizes.items()),
        ]
    before = next(iter(sizes)) if len(sizes) == 1 else None
    for node in network.nodes:
        lines += ["", "[[node]]", f"name = {format_value(node.name)}", *_op_lines(node.op)]
        if node.inputs != (before,):
            lines.append(f"inputs = {format_value(node.inputs)}")
        lines += [f"{field} = {format_value(value)}" for field, value in sharing.to_dict(node).items()]
        before = node.outputs[0] if len(node.outputs) == 1 else None
    return "\n".join(lines) + "\n"


def _op_lines(op: Op) -> Iterable[str]:
    """`op = …` and the fields that differ from the op's defaults; an alias if only it can set a field to None."""
    cls = type(op)
    values = {field.name: getattr(op, field.name) for field in dataclasses.fields(op)}
    windows = {field.name for field in dataclasses.fields(op) if field.metadata["kind"] == "sizes"} & {
        *cls.positional
    }
    for word in (cls.word, *cls.aliases):
        start = {field.name: field.default for field in dataclasses.fields(cls)} | dict(
            cls.aliases.get(word, {})
        )
        # A window is always written, even if it equals its default.
        fields = {
            name: v for name, v in values.items() if v != start[name] or (name in windows and v is not None)
        }
        if None not in fields.values():
            return [
                f"op = {format_value(word)}",
                *(f"{name} = {format_value(value)}" for name, value in fields.items()),
            ]
    raise FormatError(
        f"{op} cannot be written in TOML",
        why="TOML has no null, which this field would need",
        fix="give the field a value",
    )


def format_value(value: Any) -> str:
    """Write a value as TOML. Raises FormatError for a text that cannot be printed."""
    for text in _texts(value):
        if not text.isprintable():
            raise FormatError(
                f"{shown(text)} cannot be written in TOML",
                why="it contains characters that cannot be printed",
                fix="rename it",
            )
    return field_toml(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts([*value.items()])
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _texts(item)
