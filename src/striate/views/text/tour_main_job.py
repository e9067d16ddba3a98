"""The main job in the terminal, step by step: check, look, train, test, predict. What the pages of `striate tour` say.

Nothing here states a result: every number is computed when the tour runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from striate.analysis import pixels
from striate.checks import Config, check
from striate.diagnostics import MissingExtraError, Severity, plural, render
from striate.formats import parse
from striate.network import Network
from striate.views.json_records import show_record
from striate.views.text import show, tour
from striate.views.text.evaluation import draw_confusion
from striate.views.text.number_format import count
from striate.views.text.page import Page
from striate.views.text.pixels import picture
from striate.views.text.prediction import draw_image
from striate.views.text.training import draw_files

DOES_NOT_FIT, BORDERS = "7x7x1 -> conv 3x3 /3", "5x5x1 -> conv 3x3"


def draw_check(page: Page, name: str, net: Network) -> None:
    """Step 1: a network that does not fit, and the tour's network, which does."""
    page.title("1. Check: does it fit?")
    page.line("A 3x3 filter with stride 3 on a 7x7 image. `striate check` reports where it does not fit, why, and the "
              "smallest fix:")  # fmt: skip
    page.line()
    for finding in check(parse(DOES_NOT_FIT), Config(select=("G",))).findings:
        page.message(render(finding), "bold red")
    page.line()
    findings = check(net).findings
    counts = {severity: sum(f.severity is severity for f in findings) for severity in Severity}
    summary = ", ".join(plural(n, severity.value) for severity, n in counts.items())
    page.line([(name, "bold"), f", the network of this tour, fits: {summary}."])
    tour.commands(page, f"striate check '{DOES_NOT_FIT}'", f"striate check {name}")


def draw_look(page: Page, name: str, net: Network) -> None:
    """Step 2: every layer with its sizes and cost, and the borders."""
    page.title("2. Look: what each layer does and costs")
    show.draw(page, show_record(net, findings=check(net).findings))
    page.line()
    page.line(
        "Borders get too little attention. How many windows of a 3x3 filter use each pixel of a 5x5 image:"
    )
    page.line()
    picture(page, pixels(parse(BORDERS)), 4)
    tour.commands(page, f"striate show {name}", f"striate pixels '{BORDERS}'")


def draw_train(page: Page, name: str, data: str, images: Sequence[int], net: Network, command: str) -> None:
    """Step 3, before the progress bar: the data, and why this network. images: (C, H, W) of the data."""
    page.title("3. Train: on real digits, on this machine's CPU")
    first, *parts = data.splitlines()
    page.line(first)
    for part in parts:
        page.line(part.strip(), 2, 4)
    page.line()
    page.line(
        f"{name} takes {_size(net.input.without_batch)} images; {_size(images)} is too small for its "
        "filters, so the digits are enlarged. A network with smaller filters needs twice as many epochs for the "
        "same accuracy. The test part is not used before step 4."
    )
    tour.commands(page, command)
    page.line()


def _size(chw: Sequence[int]) -> str:
    """Height and width."""
    return "x".join(map(str, chw[1:]))


def draw_missing(page: Page, missing: MissingExtraError) -> None:
    """In place of steps 3 to 6: the package that they need."""
    page.title("3. Train: the digits are missing")
    page.message(str(missing), "bold yellow")
    page.line()
    page.line("With this package installed, `striate tour` continues: train, test, predict.")


def draw_test(page: Page, record: Mapping[str, Any], command: str) -> None:
    """Step 4. record: striate.eval/1."""
    page.title("4. Test: on digits that the network has never seen")
    right = sum(row[k] for k, row in enumerate(record["confusion_matrix"]))
    page.line(
        [
            "test accuracy ",
            (f"{record['accuracy']:.2%}", "bold green"),
            f": {count(right)} of {count(record['images'])} right",
        ]
    )
    page.line()
    draw_confusion(page, record)
    tour.commands(page, command)


def draw_prediction(
    page: Page, file: str, pixels: Sequence[Sequence[float]], label: str, top: Sequence[tuple[str, float]], command: str
) -> None:  # fmt: skip
    """Step 5: an image file, the image, and the network's prediction."""
    page.title("5. Predict: one image file")
    page.line(f"{file} is one of the held-out digits, labeled {label}:")
    page.line()
    draw_image(page, pixels, 4)
    page.line()
    (best, sure), *others = top
    runners_up = ", ".join(f"{name} {probability:.1%}" for name, probability in others)
    page.line(["prediction: ", (best, "bold green"), f" ({sure:.1%}; next {runners_up})"])
    tour.commands(page, command)


def draw_end(page: Page, folder: str, files: Mapping[str, str], activate: str, *commands: str) -> None:
    """Step 6: the files that were written, and next steps. activate: the command that puts `striate` on PATH, or ""."""
    page.title("6. The files")
    page.line([("folder ", ""), (folder, "bold")])
    page.line()
    draw_files(page, files)
    page.line()
    page.line("Next steps, to paste into this shell:")
    tour.commands(page, *commands)
    if activate:
        page.line()
        page.line(f"After `{activate}` the command is `striate`.")
