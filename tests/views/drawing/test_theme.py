"""Colors: text can be read on everything that it may stand on."""

import pytest

from striate.views.drawing import theme


@pytest.mark.parametrize("colors", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_text_can_be_read(colors):
    for text in ("ink", "muted", "error", "warning", "info", "good"):
        assert theme.contrast(colors[text], colors["paper"]) >= 4.5, text
    for severity in ("error", "warning", "info"):
        assert theme.contrast(colors[severity], colors[f"{severity}-fill"]) >= 4.5
    for family in (*theme.FAMILIES, "error"):
        assert theme.contrast(colors["ink"], colors[f"{family}-tint"]) >= 4.5, family


def test_both_themes_have_the_same_names():
    assert theme.LIGHT.keys() == theme.DARK.keys()


def test_numbers_can_be_read_on_every_cell():
    for palette in theme.PALETTES:
        for level in range(256):
            ink = theme.CELL_INK[theme.on_cell(palette, level)]
            assert theme.contrast(ink, theme.mapped(palette, level)) >= 4.5, (palette, level)


def test_contrast_of_black_and_white_is_21():
    assert theme.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert theme.contrast("#777777", "#777777") == 1


def test_more_is_darker():
    light = [theme.luminance(theme.mapped("counts", level)) for level in range(256)]
    assert light == sorted(light, reverse=True)
