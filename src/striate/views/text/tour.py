"""The course in the terminal: each topic is one function that draws its examples from the real analysis.

No result is stated here: every number is computed when the tour runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from striate.analysis import pixels, sizes
from striate.checks import Config, Report, check
from striate.diagnostics import UnknownNameError, plural, render, suggest
from striate.formats import load, parse
from striate.geometry import Window
from striate.network import Network
from striate.views.json_records import models_record, show_record, sizes_record
from striate.views.node_record import detail_record
from striate.views.pixel_record import compare_record
from striate.views.text import node, window_drawing
from striate.views.text import sizes as sizes_view
from striate.views.text.number_format import count, shape, short
from striate.views.text.page import Column, Page, Row, Text
from striate.views.text.pixels import draw_modes, picture

if TYPE_CHECKING:
    from striate.views.schemas.networks import Detail, Show

MODEL = "resnet18"


def draw(page: Page, names: tuple[str, ...] = ()) -> None:
    """All topics, or those named. Raises UnknownNameError."""
    topics = [_topic(name) for name in names] or list(TOPICS.values())
    for number, topic in enumerate(topics, start=1):
        if number > 1:
            page.line()
            page.line()
        page.title(f"{number}. {title(topic)}")
        topic(page)


def title(topic: Callable[[Page], None]) -> str:
    """A topic's heading."""
    return (topic.__doc__ or "").strip()


def _topic(name: str) -> Callable[[Page], None]:
    if name not in TOPICS:
        nearest = suggest(name, TOPICS)
        raise UnknownNameError(
            f"the tour has no topic {name!r}",
            where="striate tour",
            why=f"its topics are {', '.join(TOPICS)}",
            fix=f"did you mean {nearest}?" if nearest else "`striate tour` shows all",
        )
    return TOPICS[name]


# -- helpers --------------------------------------------------------------------------------------------------


@cache
def _show(text: str) -> Show:
    net = parse(text)
    return show_record(net, findings=check(net).findings)


@cache
def _detail(text: str, name: str = "conv1") -> Detail:
    return detail_record(parse(text), name, _show(text))


def _window(text: str, name: str = "conv1") -> Window:
    window = parse(text).inference.declarations[name].windows["W"]
    assert isinstance(window, Window)
    return window


def _say(page: Page, *paragraphs: Text) -> None:
    for paragraph in paragraphs:
        page.line(paragraph)
    page.line()


def commands(page: Page, *lines: str) -> None:
    """Commands that show more, to paste into a shell."""
    page.line()
    for command in lines:
        page.command(command)


# -- topics ---------------------------------------------------------------------------------------------------


def history(page: Page) -> None:
    """History and inspiration: from the cat's striate cortex to today"""
    _say(
        page,
        "D. Hubel and T. Wiesel (1959, 1962, 1968) found that a cell of the striate cortex sees one small "
        "patch, its receptive field, and responds to an edge of one orientation there; later cells respond "
        "wherever in a larger patch that edge is. The convolutional layer copies cells of the first kind, "
        "pooling those of the second:",
    )
    families: dict[tuple[int, str], str] = {}
    for row in models_record()["models"]:
        families.setdefault((row["year"], row["family"]), row["new"])
    for (year, family), new in families.items():
        page.line([(f"{year}  ", "cyan"), (family, "bold"), f"  {new}"], 2, 8)
    commands(page, "striate models", f"striate models '{MODEL[:6]}*'")


def fully_connected(page: Page) -> None:
    """What came before: fully connected layers, next to a convolution"""
    text = "32x32x3 -> conv 5x5 6"
    record = _detail(text)
    full = record["fully_connected"]
    assert full is not None
    _say(
        page,
        f"A fully connected layer connects each of its {plural(full['inputs'], 'input')} to each of its "
        f"{plural(full['outputs'], 'output')} with a separate weight. A convolutional layer slides a small filter over "
        "the image and uses the same weights at every position.",
    )
    node.side_by_side(page, record)
    commands(page, f"striate show '{text}' --node conv1")


def depth(page: Page) -> None:
    """The convolutional layer: filters extend the full depth of the input"""
    text = "32x32x3 -> conv 5x5 6"
    record = _detail(text)
    volume = record["filters"]
    assert volume is not None
    _say(
        page,
        f"On a {shape(_show(text)['input'])} image every 5x5 filter is {shape(volume['shape'])}: it reads all "
        f"{plural(volume['input_channels'], 'channel')} at once and gives one number per position. "
        f"{plural(volume['count'], 'filter')} give {volume['count']} such maps, stacked to {shape(record['output'])}.",
    )
    filters = f"{plural(volume['count'], 'filter')} of {shape(volume['shape'])}"
    _volumes(page, [shape(_show(text)["input"]), filters, shape(record["output"])])
    page.line()
    page.fields(
        [
            ("params", f"{record['arithmetic']['params']} = {count(record['params'])}"),
            ("MACs", f"{record['arithmetic']['macs']} = {count(record['macs'])}"),
        ]
    )


def _volumes(page: Page, labels: list[str]) -> None:
    """Input, filters and output as boxes in a row (under each other on a narrow page)."""
    if sum(len(label) + 4 for label in labels) + 10 > page.terminal.width:
        for label in labels:
            page.line(label, 4)
        return
    edge, side = ("─", "│") if page.terminal.unicode else ("-", "|")
    widths = [len(label) + 2 for label in labels]
    gaps = ["     ", "  *  ", "  →  "]
    for row in range(3):
        line: list[str | tuple[str, str]] = ["  "]
        for k, (label, width) in enumerate(zip(labels, widths)):
            middle = row == 1
            line.append((gaps[k] if middle else "     ") if k else "")
            line.append(f"{side} {label} {side}" if middle else f" {edge * width} ")
        page.line(line)


def stride(page: Page) -> None:
    """Stride: how far the filter moves, and when it does not fit"""
    _say(page, "A 3x3 filter on a 7x7 image, along one axis. The output size is (N - F)/S + 1.")
    for step in (1, 2, 3):
        window = _window(f"7x7x1 -> conv 3x3 /{step}")
        fits = not window.remainder
        size = f"{window.output}x{window.output}"
        verdict: Text = (
            [(f"  → {size}", "green")] if fits else [("  → does not work", "red"), f" (floored: {size})"]
        )
        page.line([(f"stride {step}", "bold"), f"   {window.formula}", *verdict], 2)
        window_drawing.draw(page, window)
        page.line()
    page.line("What `striate check` reports for stride 3:")
    page.line()
    for finding in check(parse("7x7x1 -> conv 3x3 /3"), Config(select=("G",))).findings:
        page.message(render(finding))
    commands(page, "striate check '7x7x1 -> conv 3x3 /3'", "striate sizes '7x7x1 -> conv 3x3 /3'")


def borders(page: Page) -> None:
    """Borders get too little attention"""
    _say(page, "How many windows use each pixel: a corner is used once, the center many times.")
    for text, title in (
        ("3x3x1 -> conv 2x2", "3x3 image, 2x2 filter"),
        ("5x5x1 -> conv 3x3", "5x5 image, 3x3 filter"),
    ):
        use = pixels(parse(text))
        page.line([(title, "bold"), f"   corner {use.corner}, center {use.center}"], 2)
        picture(page, use, 4)
        page.line()
    page.line("Through a whole network the number of paths multiplies; here three 3x3 layers on 11x11:", 2)
    text = "11x11x1 -> [conv 3x3]*3"
    picture(page, pixels(parse(text)), 4)
    commands(page, f"striate pixels '{text}'", f"striate pixels {MODEL}")


def shrink(page: Page) -> None:
    """Outputs shrink"""
    text = "32x32x1 -> [conv 5x5]*8"
    record = _show(text)
    first = record["nodes"][0]["output"]
    lost = 1 - first[1] * first[2] / (record["input"][1] * record["input"][2])
    _say(
        page,
        f"A 5x5 filter turns {shape(record['input'])} into {shape(first)}: {lost:.0%} of the area is lost. "
        "Layer after layer:",
    )
    steps = [record["input"], *(entry["output"] for entry in record["nodes"])]
    unit = max(page.terminal.width - 24, 16) / steps[0][1]
    for depth_, step in enumerate(steps):
        bar = "█" * max(round(step[1] * unit / 2), 1)
        page.line([f"{depth_ or '':>3} {f'{step[1]}x{step[2]}':>6}  ", (bar, "cyan")], 2)
    for problem in record["problems"]:
        page.line([f"{len(steps):>3} {'none':>6}  ", (f"{problem['why']}", "red")], 2, 14)
    commands(page, f"striate show '{text}'")


def padding(page: Page) -> None:
    """Padding keeps the size: P = (F - 1)/2"""
    _say(
        page,
        "Zeros around the image. With stride 1 and P = (F - 1)/2 the output size (N + 2P - F)/S + 1 equals N:",
    )
    for kernel in (3, 5, 7):
        window = _window(f"7x7x1 -> conv {kernel}x{kernel} pad same")
        size = f"{window.output}x{window.output}"
        page.line(
            [
                (f"F = {kernel}  P = {window.before}", "bold"),
                f"   {window.formula}",
                (f"  → {size}", "green"),
            ],
            2,
        )
    page.line()
    net = parse("7x7x1 -> conv 3x3")
    record = compare_record(net)
    modes = [mode for mode in record["modes"] if "problem" not in mode]
    same = next(mode for mode in modes if mode["mode"] == "zero same")
    equal = " and ".join(mode["mode"] for mode in modes if mode["uniform"])
    _say(
        page,
        f"Does padding make all pixels used equally often? Not quite: a corner gets {same['corner']} uses, the "
        f"center {same['centre']}. Only {equal} padding do.",
    )
    draw_modes(page, record)
    commands(page, "striate pixels '7x7x1 -> conv 3x3' --compare")


def channels(page: Page) -> None:
    """Channels: N filters, N output channels; 1x1 mixes channels only"""
    layers = (
        ("3x3, 64 filters", "32x32x64 -> conv 3x3 64 pad 1"),
        ("1x1, 16 filters", "32x32x64 -> conv 1x1 16"),
        ("depthwise 3x3", "32x32x64 -> dwconv 3x3 pad 1"),
        ("2 groups of 3x3", "32x32x64 -> conv 3x3 64 pad 1 groups 2"),
    )
    _say(
        page,
        "The number of filters is the number of output channels. A 1x1 convolution reads one position and mixes "
        "its channels. Grouped and depthwise convolutions are the exceptions to full depth. On 32x32x64:",
    )
    rows = []
    for label, text in layers:
        record = _detail(text)
        sizes_ = (shape(record["filter"] or []), shape(record["output"]))
        rows.append(Row((label, *sizes_, count(record["params"]), short(record["macs"]))))
    titles = (
        Column("layer"),
        *(Column(name, "right") for name in ("one filter", "output", "params", "MACs")),
    )
    page.table(titles, rows, indent=2)
    commands(page, f"striate show '{layers[1][1]}' --node conv1")


def network(page: Page) -> None:
    """A whole network: its findings, and the sizes that fit"""
    net = load(MODEL)
    report = check(net)
    record = show_record(net, findings=report.findings)
    totals = record["totals"]
    _say(
        page,
        f"{MODEL} on {shape(record['input'])}: {plural(len(record['nodes']), 'node')}, "
        f"{plural(totals['params'], 'parameter')}, "
        f"{short(totals['macs'])} MACs. Frameworks run it without a message; `striate check` reports:",
    )
    for line in _groups(report):
        page.line(line, 2, 8)
    page.line()
    sizes_view.draw(page, sizes_record(sizes(net), net.input.without_batch), MODEL)
    page.line()
    better = _better(net)
    codes = {f.code for f in report.findings} - {f.code for f in check(better).findings}
    if codes:
        page.line(f"At {shape(better.input.without_batch)} {' and '.join(sorted(codes))} is gone.")
    commands(
        page, f"striate check {MODEL}", f"striate diff {MODEL} --input-b {shape(better.input.without_batch)}"
    )


def _groups(report: Report) -> Iterator[Text]:
    for code, members in groupby(report.findings, key=lambda finding: finding.code):
        findings = list(members)
        style = {"error": "red", "warning": "yellow"}.get(findings[0].severity.value, "dim")
        times, more = (f"{len(findings)}x ", ", …") if len(findings) > 1 else ("", "")
        yield [(code, style), f"  {times}{findings[0].message} ({findings[0].node or 'network'}{more})"]


def _better(net: Network) -> Network:
    shape = net.input.without_batch
    fitting = sizes(net, near=shape[1])
    size = min(fitting.nearest, key=lambda n: abs(n - shape[1]))
    return net.with_input((shape[0], size, size))


TOPICS: dict[str, Callable[[Page], Any]] = {
    "history": history,
    "fully-connected": fully_connected,
    "depth": depth,
    "stride": stride,
    "borders": borders,
    "shrink": shrink,
    "padding": padding,
    "channels": channels,
    "network": network,
}
