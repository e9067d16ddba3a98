"""A small model for the view of the experiment: its first unit is a Gabor filter at 60 degrees."""

import striate
from cli.run import run
from probe import known_units as known

TEXT = "24x24x1 -> conv 9x9 2 pad 4 -> relu -> maxpool 2 -> conv 3x3 2 -> flatten -> fc 3"


def model():
    """With a normalization of its own."""
    made = striate.Model(TEXT, seed=3)
    made.weights["conv1.weight"][0, 0] = known.gabor(9, 60.0, 0.17, 1.7)
    made.weights["conv1.bias"][:] = 0
    made.transform = {"steps": [{"step": "normalize", "mean": [0.4], "std": [0.2]}]}
    return made


def report(folder):
    """The address of its saved page."""
    model().save(folder / "model")
    done = run("report", str(folder / "model"), "-o", str(folder / "page.html"))
    assert done.code == 0, done.stderr
    return (folder / "page.html").as_uri()
