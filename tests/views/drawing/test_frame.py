"""Title, totals and numbered findings around a picture."""

import striate as st
from laws.pictured import SHAPED
from striate.views.drawing.frame import SHOWN, numbered
from striate.views.drawing.parts import parts_of
from striate.views.json_records import show_record


def texts(net, **options):
    return [
        mark["text"] for mark in st.draw(net, **options).scene["drawing"]["marks"] if mark["mark"] == "text"
    ]


def test_a_finding_has_its_number_its_sum_and_its_fix():
    said = texts("7x7x1 -> conv 3x3 /3")
    assert said.count("1") == 2  # at the layer, and in the legend
    assert any(line.startswith("G002 conv1: stride 3 does not fit") for line in said)
    assert "(7 + 0 - 3)/3 + 1 = 2.33" in " ".join(said)
    assert "fix: " in " ".join(said)


def test_findings_without_a_number_are_counted():
    many = st.parse("64x64x1 -> " + " -> ".join(["[conv 1x1 /2 -> upsample 2]"] * 16))
    record = show_record(many, findings=st.check(many).findings)
    loud = [f for f in record["findings"] if f["severity"] != "info"]
    assert len(loud) > SHOWN
    marks = numbered(record, parts_of(record, fold=False))
    assert sorted(number for found in marks.values() for number, _ in found) == [*range(1, SHOWN + 1)]
    assert f"{len(loud) - SHOWN} more findings: striate check" in texts(many)


def test_what_stands_after_a_failing_layer_is_counted():
    assert "not drawn: 3 more nodes after the failing layer" in texts(SHAPED["failing"]())


def test_what_is_not_known_makes_totals_a_lower_bound():
    assert "at least 224 params, at least 36.5k MACs" in texts(SHAPED["failing merge"]())
