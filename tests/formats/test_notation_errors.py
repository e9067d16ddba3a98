"""What the notation says when it cannot be read: the place, what was expected, the nearest known word."""

import pytest

from striate.diagnostics import LimitError, NotationError, OpError, StriateError
from striate.formats import parse

BAD = [
    "",
    "resnet18 -> relu",
    "32x32x3",
    "32x32x3 conv 3x3",
    "0x32x3 -> relu",
    "1x2x3x4x5 -> relu",
    "32x32x3 -> cnov 5x5 6",
    "32x32x3 -> conv3x3 6",
    "32x32x3 -> conv 5x5 6 relu",
    "32x32x3 -> conv 5x5 6 ->",
    "32x32x3 -> conv 5x5 6 -> 7",
    "32x32x3 -> conv 3 pda 1",
    "32x32x3 -> conv 3 pad samme",
    "32x32x3 -> conv 3 pad 1,2,3",
    "32x32x3 -> conv 3 pad 1 pad 2",
    "32x32x3 -> conv 3x3x3 1.5",
    "32x32x3 -> conv 3 mode mirror",
    "32x32x3 -> conv 3 bias maybe",
    "32x32x3 -> conv 3 / -> relu",
    "32x32x3 -> conv 0x3",
    "32x32x3 -> conv 3 -8",
    "32x32x3 -> conv 3 8 /0",
    "32x32x3 -> conv 3x3 8 groups 3",
    "32x32x3 -> fc 10",
    "32x32x3 -> fc",
    "32x32x3 -> conv 3y3",
    "32x32x3 -> conv 3 | relu",
    '32x32x3 -> "stem: conv 3',
    "32x32x3 -> a: relu -> a: relu",
    "32x32x3 -> relu -> relu1: tanh",
    "32x32x3 -> [a: relu]*2",
    "32x32x3 -> [relu -> tanh",
    "32x32x3 -> relu]",
    "32x32x3 -> []*2",
    "32x32x3 -> [relu]*0",
    "32x32x3 -> [relu]*99999999",
    "32x32x3 -> add",
    "32x32x3 -> split 3 -> relu",
    "32x32x3 -> conv 3 99999999999",
    "32x32x3\n  -> conv 3x3 16 pad same  # the first\n  -> rleu\n  -> fc 10",
    "32x32x3 -> " + "relu -> " * 30 + "conv 3 padd 1 -> " + "relu -> " * 30 + "relu",
    "32x32x3 -> " + "[" * 40 + "relu" + "]" * 40,
]


def message(text: str) -> str:
    with pytest.raises(StriateError) as caught:
        parse(text)
    return str(caught.value)


def test_texts(golden):
    golden(
        "notation-errors.txt",
        "\n\n".join(f"{text if len(text) < 100 else text[:97] + '...'}\n\n{message(text)}\n" for text in BAD),
    )


@pytest.mark.parametrize("text", BAD)
def test_every_text_has_a_place_a_reason_and_a_fix(text):
    with pytest.raises(StriateError) as caught:
        parse(text)
    error = caught.value
    assert error.code in ("I001", "I002", "I003", "I008")
    place = error.where.splitlines()[-3:]
    line, column = (int(word.strip(",")) for word in place[0].split()[1::2])
    assert 1 <= line <= text.count("\n") + 1 and column >= 1
    shown, carets = place[1], place[2]
    marked = shown[carets.index("^") : len(carets)]
    assert text.split("\n")[line - 1][column - 1 :].startswith(marked.strip())
    assert error.fix
    assert all(len(row) <= 80 for row in place), "fits a terminal"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("3x3 -> conv 0", OpError),
        ("3x3 -> conv 3 groups 7", OpError),
        ("3x3 -> conv 3 8 groups 1000000000", OpError),
        ("3x3x999999937 -> conv 3 999999937 groups 500000000", OpError),
        ("3x3 -> conv " + "9" * 5000, LimitError),
        ("3x3 -> " + "[" * 100_000, LimitError),
        ("3x3 -> " + "[relu]*1000000000 -> " * 50 + "relu", LimitError),
        ("3x3 -> " + "[" * 30 + "relu" + "]*10" * 30, LimitError),
        ("3x3 -> " + "relu -> " * 2_000_000, LimitError),
        ("3x3 -> conv " + "x".join(["3"] * 100_000), StriateError),
        ("3x3 -> conv 3 pad " + ",".join(["3"] * 100_000), StriateError),
        ("3x3 -> reshape " + ",".join(["3"] * 100_000), StriateError),
        ("3x3 -> " + "r" * 1_000_000, NotationError),
        ("3x3 -> relu: " * 100_000, NotationError),
        ("-> " * 100_000, NotationError),
        ('3x3 -> "' + "\\" * 100_000, NotationError),
        ("1x1x1000000000 -> split 1000000000 -> relu", NotationError),
        ("3x3 -> conv 1e999", NotationError),
        ("3x3 -> dropout 1e999", NotationError),
        ("3x3 -> conv ٣", NotationError),
        ("3x3 -> conv 3²", NotationError),
        ("3x3 -> conv \udcff", NotationError),
        ('3x3 -> "\\ud800": relu', NotationError),
        ("\x00\x01\x02", NotationError),
    ],
)
@pytest.mark.timeout(60)
def test_absurd_texts_are_refused_at_once(text, kind):
    with pytest.raises(kind) as caught:
        parse(text)
    assert len(str(caught.value)) < 5000
    str(caught.value).encode()
