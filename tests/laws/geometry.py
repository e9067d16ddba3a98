"""What holds in a picture of any kind: places of texts and lines, contrast. What is wrong is told in lines."""

from drawn import Area, meeting
from striate.views.drawing import theme
from striate.views.drawing.sheet import ASCENT, DESCENT
from striate.views.drawing.widths import width


def texts(drawn):
    areas = [text.area for text in drawn.texts]
    for text in drawn.texts:
        if not text.area.inside(Area(0, 0, drawn.width, drawn.height), by=0):
            yield f"{text} leaves the canvas"
    for k, j in meeting(areas, areas):
        if k < j and areas[k].overlaps(areas[j]):
            yield f"{drawn.texts[k]} overlaps {drawn.texts[j]}"
    under = {}
    for k, j in meeting(areas, [shape.area for shape in drawn.shapes]):
        text, shape = drawn.texts[k], drawn.shapes[j]
        if areas[k].overlaps(shape.area):
            if shape.order > text.order and shape.fill != "none":
                yield f"{shape} covers {text}"
            elif shape.order < text.order and (k not in under or under[k].order < shape.order):
                under[k] = shape
    for k, shape in under.items():
        if not areas[k].inside(shape.area):
            yield f"{drawn.texts[k]} leaves {shape}"


def contrasts(drawn, paper):
    areas = [text.area for text in drawn.texts]
    behind = [paper] * len(areas)
    for k, j in meeting(areas, [shape.area for shape in drawn.shapes]):
        fill = drawn.shapes[j].fill
        if areas[k].overlaps(drawn.shapes[j].area) and fill != "none":
            behind[k] = paper if fill.startswith("url(") else fill  # hatched: lines on what is behind
    for text, color in zip(drawn.texts, behind):
        if theme.contrast(text.fill, color) < 4.5:
            yield f"{text} on {color}: contrast {theme.contrast(text.fill, color):.2f}"


def crosses(piece, area, by):
    return (
        piece.left < area.right - by
        and area.left + by < piece.right + 0.01
        and piece.top < area.bottom - by
        and area.top + by < piece.bottom + 0.01
    )


def crossings(drawn):
    """Lines run through no box and no text."""
    boxes = drawn.boxes()
    pieces = [(line, piece) for line in drawn.lines for piece in line.stretches()]
    areas = [piece for _, piece in pieces]
    for k, j in meeting(areas, [box.area for box in boxes]):
        if crosses(areas[k], boxes[j].area, 1):
            yield f"{pieces[k][0]} crosses {boxes[j]}"
    for k, j in meeting(areas, [text.area for text in drawn.texts]):
        if crosses(areas[k], drawn.texts[j].area, 0.6):
            yield f"{pieces[k][0]} crosses {drawn.texts[j]}"


def cells(scene):
    """Numbers stand inside their cell and are readable on its color; cells lie on the canvas."""
    drawing = scene["drawing"]
    marks = drawing["marks"]
    numbers = [m for m in marks if m["mark"] == "text" and m["fill"] in theme.CELL_INK]
    grids = [m for m in marks if m["mark"] == "cells"]
    for grid in grids:
        right = grid["x"] + grid["side"] * max(map(len, grid["levels"]))
        bottom = grid["y"] + grid["side"] * len(grid["levels"])
        if not Area(grid["x"], grid["y"], right, bottom).inside(
            Area(0, 0, drawing["width"], drawing["height"])
        ):
            yield f"cells at {grid['x']}, {grid['y']} leave the canvas"
    for mark in numbers:
        x, y, side = mark["x"], mark["y"] - (ASCENT - DESCENT) / 2 * mark["size"], 0.0
        for grid in grids:
            column, row = int((x - grid["x"]) // grid["side"]), int((y - grid["y"]) // grid["side"])
            if 0 <= row < len(grid["levels"]) and 0 <= column < len(grid["levels"][row]):
                side, level = grid["side"], grid["levels"][row][column]
                color = theme.mapped(grid["palette"], level or 0)
                if (found := theme.contrast(color, theme.CELL_INK[mark["fill"]])) < 4.5:
                    yield f"{mark['text']} on {color}: contrast {found:.2f}"
        if width(mark["text"], mark["size"]) > side + 0.6:
            yield f"{mark['text']} leaves its cell of {side}"
