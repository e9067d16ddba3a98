"""Whatever is typed, a command answers 0, 1 or 2 and speaks in five parts; it never calls its own fault the user's."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cli.run import run

SIZES = st.sampled_from(["1", "3", "7x7", "32x32x3", "9x1x2", "1d 40x2", "6x6x6x1", "0x3x1", "100000x4x1"])
NUMBERS = st.sampled_from(["0", "1", "2", "3x1", "5", "-1", "1000000000000"])
WORDS = """
conv 3; conv 3x3 4 /2; conv 2 3 pad same; conv 3 /3 pad 1,0,2,1; conv 5 2 dil 2 mode circular; dwconv 3; tconv 2 3 /2
maxpool 2; maxpool 3 /2 ceil on; avgpool 3 /1 pad 1; gap; flatten; fc 5; bn; relu; softmax; upsample 2; pad 1; dropout
cnv 3; conv; [relu]*3; [conv 3 ->; ]; a: relu; 🙂; # no
"""
WORD = st.sampled_from([word.strip() for line in WORDS.split("\n") for word in line.split(";")])
SIZED = st.tuples(st.sampled_from(["conv", "maxpool", "fc"]), NUMBERS).map(" ".join)
STAGES = st.lists(st.one_of(WORD, SIZED), max_size=5)
NOTATIONS = st.tuples(SIZES, STAGES).map(lambda parts: " -> ".join([parts[0], *parts[1]]))
COMMANDS = """
show; show --json; show --csv; show --markdown; show --reconcile; show --fold; show --node conv1; check
check --output-format sarif; sizes; sizes --near 9; pixels; pixels --compare; pixels --node relu1; diff --input-b 33
draw; draw --kind graph --direction right; draw --kind blocks --cost --no-fold; draw --json
"""
COMMAND = st.sampled_from([c.split() for line in COMMANDS.split("\n") for c in line.split(";") if c.split()])


@given(COMMAND, NOTATIONS)
@settings(max_examples=250)
def test_any_notation(command, text):
    done = run(command[0], text, *command[1:])
    assert done.code in (0, 1, 2)
    assert "I000" not in done.err
    assert (done.code == 2) == bool(done.err)
    assert (done.code == 2) == (not done.out) or command[0] == "check"


@given(st.lists(st.text(max_size=12), max_size=4))
def test_any_words(words):
    done = run(*words)
    assert done.code in (0, 2)
    assert "I000" not in done.err
