"""Rules against counting by hand: every fact a rule states about one layer, found again by walking its windows."""

import itertools

from hypothesis import assume, given
from hypothesis import strategies as st

from striate.checks import Config, check
from striate.checks.context import Context
from striate.checks.rules.pixels import _border, _read, _reads
from striate.geometry import Window
from striate.network import Builder
from striate.ops import Conv

windows = st.builds(
    Window,
    st.integers(1, 24),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 4),
    st.integers(0, 4),
).filter(lambda window: window.output > 0)


def conv(h, w=None):
    w = w or h
    builder = Builder("one", input=(1, h.input, w.input))
    op = Conv(
        1,
        kernel=(h.kernel, w.kernel),
        stride=(h.stride, w.stride),
        dilation=(h.dilation, w.dilation),
        padding=((h.before, h.after), (w.before, w.after)),
    )
    return builder.build(builder(op, builder.input, name="conv"))


def found(network, *codes):
    return {finding.code: finding for finding in check(network, Config(select=codes)).findings}


def touched(window):
    """Coordinates that some tap of some output touches, padding included."""
    return {
        i * window.stride + u * window.dilation - window.before
        for i in range(window.output)
        for u in range(window.kernel)
    }


@given(windows)
def test_lost_rows_are_those_behind_the_last_window(window):
    last = max(touched(window))
    behind = [x for x in range(window.input) if x > last]
    left_over = window.input + window.after - 1 - last
    finding = found(conv(window), "G002").get("G002")
    assert (finding is not None) == (bool(behind) and left_over > max(window.stride - window.extent, 0))
    if finding:
        n = window.input
        assert f"({n * n - (n - len(behind)) ** 2} of {n * n} pixels)" in finding.why


@given(windows, windows)
def test_every_pixel_is_read_or_counted_once_as_unread(h, w):
    """Where no rows are lost (G002), U001 counts every pixel that no window reads."""
    network = conv(h, w)
    findings = found(network, "G002", "U001")
    read = len(touched(h) & set(range(h.input))) * len(touched(w) & set(range(w.input)))
    said = int(findings["U001"].message.split()[0]) if "U001" in findings else 0
    if "G002" not in findings:
        assert said == h.input * w.input - read


@given(windows)
def test_reads_of_a_long_axis_follow_from_a_short_one(window):
    long = Window(
        window.input + 500 * window.stride,
        window.kernel,
        window.stride,
        window.dilation,
        window.before,
        window.after,
    )
    assert _reads(long) == len(_read(long))
    counts = long.coverage()
    inner = [max(counts[end % long.stride :: long.stride]) for end in (0, long.input - 1)]
    pairs = [(counts[end], top) for end, top in zip((0, long.input - 1), inner) if counts[end]]
    assert _border(long) == min(pairs, key=lambda pair: pair[0] / pair[1], default=(1, 1))


@given(windows)
def test_outputs_that_see_only_padding(window):
    empty = [
        i
        for i in range(window.output)
        if not any(
            0 <= i * window.stride + u * window.dilation - window.before < window.input
            for u in range(window.kernel)
        )
    ]
    finding = found(conv(window), "P004").get("P004")
    assert (finding is not None) == bool(empty)
    if finding:
        n = window.output
        assert finding.message.startswith(f"{n * n - (n - len(empty)) ** 2} of {n * n} outputs")


@given(windows)
def test_taps_that_never_meet_the_image(window):
    live = {
        u
        for i, u in itertools.product(range(window.output), range(window.kernel))
        if 0 <= i * window.stride + u * window.dilation - window.before < window.input
    }
    finding = found(conv(window), "U005").get("U005")
    dead = window.kernel**2 - len(live) ** 2
    assert (finding is not None) == bool(live and dead)
    if finding:
        assert finding.message.startswith(f"{dead} of {window.kernel**2} taps")


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=3))
def test_holes_of_dilated_convolutions(layers):
    """The positions that one output reads, walked back through the layers."""
    assume(any(dilation > 1 and kernel > 1 for kernel, dilation in layers))
    builder = Builder("chain", input=(1, 64, 64))
    x = builder.input
    for kernel, dilation in layers:
        x = builder(Conv(1, kernel=kernel, dilation=dilation), x)
    reads = {0}
    for kernel, dilation in reversed(layers):
        reads = {x + u * dilation for x in reads for u in range(kernel)}
    finding = found(builder.build(x), "U003").get("U003")
    assert (finding is not None) == (len(reads) < max(reads) + 1)
    if finding:
        assert f"{len(reads)} of {max(reads) + 1} positions" in finding.message


@given(windows)
def test_shrinking_is_said_with_its_area(window):
    finding = found(conv(window), "P002").get("P002")
    shrinks = window.stride == 1 and 1 < window.output < window.input
    assert (finding is not None) == shrinks
    if finding:
        assert (
            finding.message
            == f"output shrinks from {window.input}x{window.input} to {window.output}x{window.output}"
        )


@given(windows)
def test_a_check_never_fails_on_a_layer(window):
    report = check(conv(window))
    assert {finding.node for finding in report.findings} <= {"conv", None}
    for finding in report.findings:
        assert finding.fixes and finding.why and finding.where


def test_windows_alone_are_enough_for_geometry():
    """Rules that only need windows do not run the analyses of the whole network."""
    network = conv(Window(9, 1, 1))
    context = Context(network)
    from striate.checks import all_rules

    for rule in all_rules():
        if rule.code[0] in "GPU":
            assert not list(rule.look(context))
    assert "fields" not in vars(context) and "fitting_inputs" not in vars(context)
