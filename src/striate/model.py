"""A network and its weights: the object that people train, run, save and hand over."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from striate import weights as arrays
from striate.diagnostics import SourceError, UnknownNameError
from striate.engine.inputs import Given, bare, named, part, rows, together
from striate.engine.interface import Engine, Program, get, strict
from striate.files import write_aside
from striate.formats import load
from striate.formats.exchange import read_about
from striate.formats.folder import CARD, CONFIG, WEIGHTS, describe
from striate.formats.notation import Size
from striate.network import Network
from striate.weights import ModelWeights

if TYPE_CHECKING:
    from striate.train.evaluation import Evaluation
    from striate.train.history import History

Array = NDArray[Any]


class Model:
    """A network with weights on an engine.

    net: the network; seed: of fresh weights; weights: name -> array, instead of those that the network came with from
    another framework, or of fresh ones (copied, float32), or a file of them, .safetensors or .pth;
    engine: "compiled" runs machine code made for this processor, "numpy" runs everywhere, "auto" takes the first that
    runs here, "torch" runs on PyTorch, on `device` ("cpu", "cuda", "cuda:1", "mps"; empty: a GPU if there is one);
    precision: "fast", or "strict" without algorithms that round more than the plain sum (Winograd's).
    Raises FormatError when weights do not suit the network.

    `weights` maps names to float32 arrays. Change them in place, keep references, or assign: the next prediction uses
    the weights as they are then (`striate.weights.ModelWeights` says how).

    >>> import striate as st
    >>> model = Model(st.parse("8x8x1 -> conv 3x3 4 -> relu -> flatten -> fc 10"), seed=0)
    >>> model.predict(np.zeros((2, 1, 8, 8), np.float32)).shape
    (2, 10)
    """

    def __init__(
        self, net: Network, seed: int = 0, *, weights: Mapping[str, Array] | str | Path | None = None,
        engine: str | Engine = "auto", scheme: str | None = None, precision: str = "fast", device: str = "",
    ) -> None:  # fmt: skip
        self.net = net
        self.engine = get(engine, device)
        strict(precision)
        self.precision = precision
        if weights is None:  # those of a file are used as they were read
            weights = net.weights or arrays.initialise(net, seed, scheme or default_scheme(net))
        elif isinstance(weights, str | Path):
            from striate.formats.exchange import read_weights

            weights = read_weights(weights)
        self._weights = ModelWeights(net, weights)
        self.classes: tuple[str, ...] = ()
        self.transform: dict[str, Any] = {}

    def __repr__(self) -> str:
        count = sum(parameter.elements for parameter in self.net.parameters.values())
        inputs = [f"{name} {spec}" for name, spec in self.net.inputs.items()]
        read = f"inputs {', '.join(inputs)}" if len(inputs) > 1 else f"input {self.net.input}"
        return f"Model({self.net.name}, {read}, {count:,} numbers, engine {self.engine.name})"

    @property
    def weights(self) -> ModelWeights:
        """Name -> float32 array, as the model's docstring says. Assigning a mapping copies all of it."""
        return self._weights

    @weights.setter
    def weights(self, given: Mapping[str, Array]) -> None:
        if given is not self._weights:
            self._weights = ModelWeights(self.net, given)

    @property
    def _program(self) -> Program:
        """A program with the weights of this moment, the last one again if they are the same."""

        def made(weights: Mapping[str, Array]) -> Program:
            return self.engine.compile(self.net, weights, precision=self.precision)

        program: Program = self._weights.derived(made)
        return program

    def predict(self, x: Given, *more: Array, batch: int = 64) -> Array | tuple[Array, ...]:
        """Outputs (N, …) for images x (N, C, H, W), `batch` images at a time; several outputs give a tuple.

        A network of several inputs takes one array for each: ``predict((a, b))`` or ``predict(a, b)`` in the order of
        `net.inputs`, ``predict({"left": a, "right": b})`` by name.
        What is left over runs in powers of two, so that no number of images asks for a plan of its own.
        Raises OpError when a shape does not suit and UsageError when inputs are missing, with what to do.
        """
        program = self._program
        given = bare(named(self.net, together(x, more)))
        found = [program(part(given, slice(start, stop))) for start, stop in _pieces(rows(given), batch)]
        if len(found) == 1:
            return found[0]
        if isinstance(found[0], tuple):
            return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))
        return np.concatenate(found)

    def compile(self, batch: int = 1, threads: int | None = None, precision: str | None = None) -> Program:
        """The model as a program made fast for a batch size and a number of threads; call it with a batch.

        The program keeps the weights as they are now: what happens to the model later does not change it.
        precision: the model's, unless given.
        """
        chosen = precision or self.precision
        return self.engine.compile(
            self.net, self._weights.current(), batch=batch, threads=threads, precision=chosen
        )

    def fit(
        self,
        train: Any,
        validation: Any = None,
        epochs: int = 10,
        *,
        out: str | Path | None = None,
        callbacks: Sequence[Any] = (),
        **settings: Any,
    ) -> History:
        """Train in place and return the history of the run.

        train, validation: what `striate.train.data.open_data` reads: (x, y) arrays, a path, a sample's name. Without
        validation data the validation part of `train` is used, if it has one. out: a run folder to keep; settings:
        the fields of `striate.train.settings.Settings`. The weights are those of the best epoch, unless keep="last".
        """
        from striate.train.data import open_data
        from striate.train.loop import fit
        from striate.train.settings import Settings
        from striate.train.source import transforms

        chosen = Settings().replace({"epochs": epochs, **settings}).resolved
        if validation is None:
            parts = open_data(train, seed=chosen.seed)
            learn, check = parts.train, parts.validation
        else:
            learn, check = open_data(train, "all"), open_data(validation, "all")
        made = transforms(self.net, learn, chosen)
        history = fit(
            self.net, dict(self.weights), learn, check, chosen, engine=self.engine, made=made,
            out=None if out is None else Path(out), callbacks=callbacks,
        )  # fmt: skip
        self.classes, self.transform = tuple(learn.classes), made[1].to_dict()
        return history

    def evaluate(self, data: Any, *, batch: int = 64) -> Evaluation:
        """Loss, accuracy and the numbers per class on labelled data, transformed as the training data was.

        data: what `open_data` reads; of several parts, the test part.
        """
        from striate.train.config import Config
        from striate.train.data import open_data
        from striate.train.judging import judge
        from striate.train.source import transforms

        source = open_data(data, "test" if isinstance(data, str | Path) else "all")
        config = Config()
        made = self.transform or transforms(self.net, source, config.settings.resolved)[1].to_dict()
        return judge(self._program, self.classes, made, config, source, batch=batch).evaluation

    def save(self, folder: str | Path) -> None:
        """Write config.json (network, classes, transformation), model.safetensors and a model card into a folder."""
        target = Path(folder)
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError(
                f"{target} cannot be made", why=error.strerror or str(error), fix="choose another folder"
            ) from None
        arrays.save(target / WEIGHTS, self._weights.current())
        from striate.train.card import card

        write_aside(target / CARD, card(self.net, self.classes, self.transform).encode())
        write_aside(
            target / CONFIG,
            (json.dumps(describe(self.net, self.classes, self.transform), indent=1) + "\n").encode(),
        )

    def to_torch(self) -> Any:
        """The model as a torch.nn.Module in evaluation mode: the same names, weights (copied) and outputs.

        Raises MissingExtraError without torch, OpError for an op that torch has no counterpart of.
        """
        from striate.formats.torch import require

        require()
        from striate.engine.torch.lowering import lower

        return lower(self.net, self._weights.current())

    def export(self, path: str | Path) -> None:
        """Write the model as a file that others read, in the format of its suffix: m.onnx, m.safetensors, m.pth.

        Classes and the transformation of images go along into .onnx and .safetensors. Raises UsageError for another
        suffix, OpError for a node that the format cannot say.
        """
        from striate.formats.exchange import writer

        about = {"classes": list(self.classes), "transform": self.transform}
        writer(path)(Path(path), self.net, self._weights.current(), about)

    @classmethod
    def load(
        cls, source: str | Path, *, input: Size | None = None,
        weights: Mapping[str, Array] | str | Path | None = None, engine: str | Engine = "auto", device: str = "",
    ) -> Model:  # fmt: skip
        """The model that a folder or a file holds: what `save`, `export` or a training run wrote, .onnx, .keras, …

        source, input: as `striate.load` takes them; weights: others than its own. Raises SourceError where there are
        no weights, and what loading raises.
        """
        net = load(source, input)
        if weights is None and net.weights is None:
            raise SourceError(
                f"{source} holds no weights",
                where=str(source),
                why="a network answers by its weights, and fresh ones mean nothing",
                fix="a folder that `striate train` wrote, an .onnx file, or its weights: --weights FILE",
            )
        model = cls(net, weights=weights, engine=engine, device=device)
        about = read_about(source)
        model.classes, model.transform = about["classes"], about["transform"]
        return model


def _pieces(count: int, most: int) -> Iterator[tuple[int, int]]:
    """From and to of each piece: as many of `most` as there are, then a falling row of powers of two."""
    start = 0
    while start < count or not start:
        left = count - start
        stop = start + (most if left >= most else 1 << max(left.bit_length() - 1, 0))
        yield start, min(stop, count)
        start = stop


def default_scheme(net: Network) -> str:
    """The initialisation that the network's family was trained from; kaiming for networks of one's own."""
    from striate.models import get as entry

    try:
        return entry(net.name).family.scheme
    except UnknownNameError:
        return "kaiming"
