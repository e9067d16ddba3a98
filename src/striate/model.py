"""A network and its weights, to train, run, save and share."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from striate import elsewhere, hooks
from striate.diagnostics import SourceError, UnknownNameError, plural, setting
from striate.engine.inputs import (
    InputBatch,
    accept_former_name,
    arrays_by_input,
    as_count,
    bare,
    concatenate,
    join_arguments,
    part,
    pieces,
    rows,
)
from striate.engine.interface import Engine, Program, is_strict
from striate.engine.registry import get_engine
from striate.formats.folder import RUN_CONFIG
from striate.formats.loaded import Loaded
from striate.formats.notation import Size
from striate.network import HoldsNetwork, Network
from striate.signatures import explain_misuse, refusal
from striate.weights import ModelWeights

if TYPE_CHECKING:
    from striate.train.config import Config, Job
    from striate.train.data.dataset import BadImage
    from striate.train.evaluation import Evaluation
    from striate.train.events import Callback
    from striate.train.history import History
    from striate.train.keywords import FitSettings
    from striate.train.prediction import Answer
    from striate.train.prediction_inputs import PredictionInputs
    from striate.train.settings import Settings
    from striate.train.start import Start

Array = NDArray[Any]


class Model(hooks.Displayed, HoldsNetwork, elsewhere.Teaching):
    """A network with weights on an engine, its classes, and the transformation of its inputs.

    net: a file, a folder, a torch.nn.Module, what `striate.load` or `striate.from_torch` returned, or another model,
    with its weights; or a network or a catalogue name, with fresh weights; seed: of fresh weights; weights: replace
    the network's, name -> array (copied, float32), or a file or folder; input: the input size, as `striate.load` takes
    it; engine: "compiled" runs machine code made for this processor, "numpy" runs everywhere, "auto" takes the first
    that runs here, "torch" runs on PyTorch, on `device` ("cpu", "cuda", "cuda:1", "mps"; empty: a GPU if there is one);
    initializer: of fresh weights, a name of `striate.weights.INITIALIZERS`, by default that of the network's paper;
    scheme: former name of initializer; precision: "fast", or "strict" without algorithms that round more than the plain
    sum (Winograd's). Raises FormatError if weights do not fit the network, SourceError if weights of a trained model
    are missing.

    `net`: the structure alone, so ``Model(model.net)`` starts again with fresh weights, and ``Model(model)`` is a copy
    with the same weights. `classes`: names of the outputs; `transform`: steps that turn images into the network's
    input, as plain values; `objective`: the loss that it was trained with; `run_config`: data and settings of its run.
    `fit` sets them, and files and folders store them.

    `weights` maps names to float32 arrays. Change them in place, keep references, or assign: the next prediction uses
    the current weights (see `striate.weights.ModelWeights`).

    >>> import numpy as np
    >>> import striate as st
    >>> model = st.Model("8x8x1 -> conv 3x3 4 -> relu -> flatten -> fc 10", seed=0)
    >>> model.predict(np.zeros((2, 1, 8, 8), np.float32)).shape
    (2, 10)
    """

    @explain_misuse
    def __init__(
        self, net: Any, seed: int = 0, *, weights: Mapping[str, Array] | str | Path | None = None,
        engine: str | Engine = "auto", initializer: str | None = None, precision: str = "fast", device: str = "",
        input: Size | None = None, scheme: str | None = None,
    ) -> None:  # fmt: skip
        from striate.formats.with_weights import with_weights

        self._engine_request = engine if isinstance(engine, str) else engine.name, device
        self._source = "", ""  # as texts, if the network is a name and its weights are fresh or its own
        if weights is None and isinstance(net, str) and isinstance(input, str | None):
            self._source = net, input or ""
        self.engine = get_engine(engine, device)
        is_strict(precision)
        seed = as_count(seed, "seed", least=0, most=math.inf)
        self.precision = precision
        if isinstance(net, Model):
            net = net._record
        record = with_weights(net, weights, input=input, seed=seed, initializer=initializer or scheme)
        self.net = record.network
        self._weights = ModelWeights(self.net, record.weights or {})
        self.classes: tuple[str, ...] = record.classes
        self.transform: dict[str, Any] = copy.deepcopy(dict(record.transform))
        self.objective: dict[str, Any] = dict(record.objective)
        self.run_config: Config | None = None
        self._prediction_inputs: PredictionInputs | None = None
        if record.config:
            from striate.train.config import Config
            from striate.train.setup import objective_of

            self.run_config = Config.parse(record.config.encode(), Path(record.source, RUN_CONFIG))
            self.objective = self.objective or objective_of(self.run_config.settings)  # of an earlier version

    def __repr__(self) -> str:
        count = sum(one.elements for one in self.net.parameters.values() if one.counted)
        inputs = [f"{name} {spec}" for name, spec in self.net.inputs.items()]
        read = f"inputs {', '.join(inputs)}" if len(inputs) > 1 else f"input {self.net.input}"
        return f"Model({self.net.name}, {read}, {plural(count, 'parameter')}, engine {self.engine.name})"

    @explain_misuse
    def summary(self, print_fn: Callable[[str], object] = print) -> None:
        """Print the table of the network: sizes, parameters, MACs, receptive fields, memory, findings.

        print_fn: called with the text, `str(model.net)`, instead of `print`. Raises UsageError for another argument.
        """
        if not callable(print_fn):
            raise refusal(type(self).summary, "input_size")
        print_fn(str(self.net))

    @property
    def weights(self) -> ModelWeights:
        """Name -> float32 array; weights of convolutions are (K, C, F, F). Assigning a mapping copies it.

        Raises UnknownNameError for a name that no weight has, FormatError for another shape.
        """
        return self._weights

    @weights.setter
    def weights(self, arrays: Mapping[str, Array]) -> None:
        if arrays is not self._weights:
            self._weights = ModelWeights(self.net, arrays)

    @property
    def _program(self) -> Program:
        """A program with the current weights; the previous one if they have not changed."""

        def compile_program(weights: Mapping[str, Array]) -> Program:
            return self.engine.compile(self.net, weights, precision=self.precision)

        program: Program = self._weights.derived(compile_program)
        return program

    @explain_misuse
    @accept_former_name("batch", "batch_size")
    def predict(self, x: Any, *more: Array, batch_size: int = 64) -> Array | tuple[Array, ...]:
        """Compute outputs (N, …) for images or arrays, `batch_size` at a time; a tuple for several outputs.

        x: arrays (N, C, H, W), which are normalized as in training (floats in the range of the training data, uint8
        divided by 255 first); or images, which go through the whole transformation: a path, a Pillow image, uint8
        (H, W, C) or (N, H, W, C), a list of these, a folder (all images below, in sorted order). A model without a
        transformation passes arrays to its network as they are. more: several inputs take one array for each,
        ``predict((a, b))`` or ``predict(a, b)`` in the order of `net.inputs`, or ``predict({"left": a, "right": b})``.

        The last, partial batch runs in powers of two, so that few batch sizes need a plan. Raises OpError if a shape
        does not fit, UsageError for ambiguous arrays or missing inputs, FormatError for an image that cannot be read.

        >>> import numpy as np
        >>> import striate as st
        >>> model = st.Model("8x8x3 -> gap -> flatten -> fc 2", seed=0)
        >>> model.predict(np.zeros((5, 3, 8, 8), np.uint8)).shape
        (5, 2)
        """
        size = as_count(batch_size, "batch_size")
        if isinstance(x, np.ndarray) and x.dtype != np.uint8 and not (self.transform or more):
            return self._run(x, size)
        return concatenate(
            [self._run(batch, size) for batch in self._inputs.batches(join_arguments(x, more), size)]
        )

    @explain_misuse
    def __call__(self, x: Any, *more: Array) -> Array | tuple[Array, ...]:
        """Same as `predict`, as in PyTorch and Keras: outputs (N, …) for the images or arrays x, and more inputs."""
        return self.predict(x, *more)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in elsewhere.MODEL:  # it would have no effect
            raise elsewhere.no_member(self, name)
        object.__setattr__(self, name, value)

    @explain_misuse
    @accept_former_name("batch", "batch_size")
    def classify(self, images: Any, top: int = 3, *, batch_size: int = 64) -> Any:
        """Return the `top` most probable classes of each image, in order: lists of (class, probability).

        images: as `predict` takes them. For a folder a dict by file name, relative to the folder; images in it that
        cannot be read are left out with a warning. batch_size: how many run together. Raises the errors of `predict`,
        and UsageError if the network's outputs are not classes.

        >>> import numpy as np
        >>> import striate as st
        >>> model = st.Model("8x8x3 -> gap -> flatten -> fc 2", seed=0)
        >>> [[(name, probability)]] = model.classify(np.zeros((1, 3, 8, 8), np.float32), top=1)
        >>> name, probability
        ('0', 0.5)
        """
        from striate.train.evaluate_model import loss_of
        from striate.train.inputs import image_files
        from striate.train.prediction import Answer, probabilities, readable

        top = as_count(top, "top")
        images = os.path.expanduser(images) if isinstance(images, str | os.PathLike) else images
        if isinstance(images, str | os.PathLike) and os.path.isdir(images):
            files = [*image_files([os.fspath(images)])]
            results = readable(os.fspath(images), files, self.answers(files, batch_size=batch_size))
            return {name: self.named(answer, top) for name, answer in results}
        loss = loss_of(self.net, self.objective)
        rows = probabilities(self.net, loss, self.predict(images, batch_size=batch_size))
        return [self.named(Answer("", row), top) for row in rows]

    @explain_misuse
    @accept_former_name("batch", "batch_size")
    def answers(self, files: Sequence[str], *, batch_size: int = 64) -> Iterator[Answer | BadImage]:
        """Yield the result for each image file, in order; a BadImage for one that cannot be read.

        files: paths, or "-" for standard input; batch_size: how many images run together.
        """
        from striate.train.evaluate_model import loss_of
        from striate.train.inputs import file_label
        from striate.train.prediction import answers

        size = as_count(batch_size, "batch_size")
        loss, images = loss_of(self.net, self.objective), [(file_label(file), file) for file in files]
        return answers(self.net, lambda x: self._run(x, size), self._inputs.reader(), loss, images, size)

    @explain_misuse
    def named(self, answer: Answer, top: int = 3) -> list[tuple[str, float]]:
        """The `top` most probable classes of an `answer` by name, with their probabilities."""
        names = self.classes or tuple(map(str, range(len(answer.probabilities))))
        labels = dict(enumerate(names))
        return [(labels.get(number, str(number)), share) for number, share in answer.top(top)]

    def _run(self, x: InputBatch, batch: int = 64) -> Array | tuple[Array, ...]:
        """The network's outputs for a batch of its inputs, always split into the same parts."""
        program = self._program
        if isinstance(x, np.ndarray) and x.ndim and next(pieces(len(x), batch)) == (0, len(x)):
            return program(x)  # it checks its input
        inputs = bare(arrays_by_input(self.net, x))
        return concatenate([program(part(inputs, slice(*piece))) for piece in pieces(rows(inputs), batch)])

    @property
    def _inputs(self) -> PredictionInputs:
        """Preparation of arrays and images by the current transformation."""
        from striate.train.prediction_inputs import PredictionInputs

        if self._prediction_inputs is None or (
            self._prediction_inputs.net,
            self._prediction_inputs.recorded,
        ) != (self.net, self.transform):
            self._prediction_inputs = PredictionInputs(self.net, self.transform)
        return self._prediction_inputs

    @explain_misuse
    def compile(self, batch: int = 1, threads: int | None = None, precision: str | None = None) -> Program:
        """Compile the model for a batch size and a number of threads; call the program with a batch.

        batch: images (N, C, H, W) in one call; threads: by default one per core. The program keeps the current weights:
        later changes of the model do not affect it. precision: by default the model's. Raises UsageError for a batch
        that is not a number of images.
        """
        if isinstance(batch, str):
            raise refusal(type(self).compile, "optimizer")
        batch, rounding = as_count(batch, "batch"), precision or self.precision
        return self.engine.compile(
            self.net, self._weights.current(), batch=batch, threads=threads, precision=rounding
        )

    @explain_misuse
    def fit(
        self,
        train: Any = None,
        labels: Any = None,
        epochs: int | None = None,
        *,
        validation: Any = None,
        out: str | Path | None = None,
        resume: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
        verbose: bool | int = True,
        **settings: Unpack[FitSettings],
    ) -> History:
        """Train in place and return the history of the run.

        train: images as an array, and `labels`; or what `striate.train.data.open_data` reads, (x, y), a path, a
        sample's name, and in place of `labels` validation data of the same kinds. Without validation data the
        validation part of `train` is used, if it has one. epochs: 10 unless given; out: a run folder to keep; resume: a
        run folder to continue, on its data (pass arrays again) and with its settings. callbacks: functions of one event
        of `striate.train.events`. verbose: a line per epoch, and a progress bar in a terminal or a notebook; 0 or False
        prints nothing. settings: the fields of `striate.train.settings.Settings`. The resulting weights are those of
        the best epoch, unless keep="last".

        A trained model keeps its classes and its transformation; a warning names what changes. Raises TrainingError if
        data and network do not fit, Diverged if the loss diverges.

        >>> import numpy as np
        >>> import striate as st
        >>> x, y = np.random.default_rng(0).random((32, 1, 8, 8), np.float32), np.arange(32) % 2
        >>> model = st.Model(st.parse("8x8x1 -> conv 3x3 4 -> relu -> gap -> flatten -> fc 2"), seed=0)
        >>> history = model.fit(x, y, epochs=2, batch_size=8, verbose=0)
        >>> len(history["train_accuracy"])
        2
        """
        from striate.train.arguments import fit_request
        from striate.train.events import listeners, warn_of_notes
        from striate.train.fitting import fit_model

        changes = {**settings} if epochs is None else {"epochs": epochs, **settings}
        request = fit_request(self.net, train, labels, validation, changes, out, resume, self._job)
        display = hooks.ask("training") if verbose else contextlib.nullcontext()
        with display as progress:
            history = fit_model(
                self, request.parts, request.config, out=request.run, recorded=request.recorded,
                callbacks=(warn_of_notes, *([progress] if progress else ()), *listeners(callbacks)),
            )  # fmt: skip
        self.run_config = request.config
        return history

    def trained(self, start: Start, settings: Settings) -> None:
        """Adopt the results of training: classes and transformation of a `start`, the loss of its `settings`."""
        from striate.train.setup import objective_of

        self.classes, self.transform = tuple(start.train.classes), start.transforms[1].to_dict()
        self.objective, self.run_config = objective_of(settings, start.train), None
        self._source = "", ""

    @property
    def _job(self) -> Job:
        """The model and engine entries of a new run's configuration, as requested."""
        from striate.engine.registry import ENGINES
        from striate.train.config import Job

        (model, input), (engine, device) = self._source, self._engine_request
        return Job(model=model, input=input, engine=engine if engine in ENGINES else "auto", device=device)

    @explain_misuse
    @accept_former_name("batch", "batch_size")
    def evaluate(
        self, data: Any = None, labels: Any = None, *, split: str = "", batch_size: int = 64, on_bad: str = "",
        worst: int = 20, watch: Callable[[int, int], None] | None = None,
    ) -> Evaluation:  # fmt: skip
        """Loss, accuracy and counts per class on labeled data, which goes through the model's transformation.

        data, labels: as `fit` takes them; None: the data of the run. split: the part to use; by default the test part,
        else the part of the run's data that training has set aside, else everything. on_bad: "skip" or "refuse"; worst:
        images with the largest losses to name; watch: called after every batch with the images done and all of them;
        batch_size: how many images run together. Raises TrainingError if data and network do not fit, UsageError
        without data.
        """
        from striate.train.arguments import by_input, data_pair
        from striate.train.config import Config
        from striate.train.evaluate_model import evaluate_model, transform_for, unseen

        config = self.run_config or Config()
        size = as_count(batch_size, "batch_size")
        dataset, _ = data_pair(by_input(self.net, data, labels), labels, None)
        source = unseen(
            config, "" if dataset is None else dataset, split, on_bad, self._inputs.transform.white
        )
        recorded = self._inputs.transform if self.transform else None
        transform, notes = transform_for(self.net, recorded, source, config)

        def report(images: int, *_: float) -> None:
            if watch:
                watch(images, len(source))

        evaluation = evaluate_model(
            _BatchedModel(self, size), self.classes, transform, self.objective, source, batch=size, worst=worst,
            watch=report,
        )  # fmt: skip
        return dataclasses.replace(evaluation, notes=(*notes, *evaluation.notes))

    @property
    def _record(self) -> Loaded:
        """The current state of the model, as a reader would return it."""
        return Loaded.of(
            self.net, self._weights.current(), classes=self.classes, transform=self.transform,
            objective=self.objective, config=self.run_config.toml() if self.run_config else "",
        )  # fmt: skip

    @explain_misuse
    @accept_former_name("folder", "path")
    def save(self, path: str | Path) -> None:
        """Write the model to a folder: config.json (network, classes, transformation), weights and a model card.

        path: the folder, created if missing; or a file such as m.onnx or m.safetensors, as `export` writes it. Raises
        SourceError if that fails, UsageError for a file that Striate does not write.
        """
        from striate.train.saving import names_file, write_folder

        target = os.path.expanduser(path)
        if names_file(target):
            self.export(target)
        else:
            write_folder(Path(target), self._record)

    @classmethod
    @explain_misuse
    def for_data(
        cls, source: str, data: Any, *, input: str = "", seed: int = 0, engine: str | Engine = "auto", device: str = "",
    ) -> Model:  # fmt: skip
        """Create a model for the classes and the image size of a dataset, as `striate train` does.

        source: a catalogue name, which adapts; a file or a notation, which stays as written. data: as `fit` takes it;
        seed: of fresh weights and of the parts of the data; input: the image size, as `striate.load` takes it; engine,
        device: as `Model` takes them. Raises TrainingError if data and network do not fit, and the errors of
        `striate.load`.

        >>> import numpy as np
        >>> import striate as st
        >>> x, y = np.zeros((6, 3, 32, 32), np.float32), np.arange(6) % 3
        >>> st.Model.for_data("cifar_resnet20", (x, y)).net.specs["fc"].shape
        (1, 3)
        """
        from striate.train.adapt_network import adapt_network
        from striate.train.data import open_data

        net = adapt_network(source, open_data(data, seed=seed).train, input).net
        return cls(net, seed, engine=engine, device=device)

    def to_torch(self) -> Any:
        """Convert the model to a torch.nn.Module in evaluation mode, with the same names, weights (copied) and outputs.

        Raises MissingExtraError without torch, OpError for an op without a counterpart in torch.
        """
        from striate.formats.torch import require

        require()
        from striate.engine.torch.lowering import lower

        return lower(self.net, self._weights.current())

    @explain_misuse
    def export(self, path: str | Path, *, raw: bool = False) -> None:
        """Export the model in the format of the suffix: m.onnx, m.safetensors, m.pth.

        path: of the file; raw: leave the normalization out.
        An .onnx file takes float32 (N, C, H, W) in the range of the training data: its graph begins with the
        normalization, unless `raw`. Classes and transformation go into .onnx and .safetensors; .pth, .py and .toml are
        the bare network. Raises UsageError for another suffix, OpError for a node that the format cannot express.
        """
        from striate.formats import convert

        convert(self._record, os.path.expanduser(path), raw=raw)

    @classmethod
    @explain_misuse
    def load(
        cls, source: Any, *, input: Size | None = None,
        weights: Mapping[str, Array] | str | Path | None = None, engine: str | Engine = "auto", device: str = "",
    ) -> Model:  # fmt: skip
        """Load a model with its weights from a folder or file.

        source: what `save`, `export` or a training run wrote, .onnx, .keras, or what `striate.load` returned; input: as
        `striate.load` takes it; weights: used instead of its own, name -> array with weights (K, C, F, F), or a file;
        engine, device: as `Model` takes them. Raises SourceError if there are no weights, and the errors of
        `striate.load`.
        """
        from striate.formats.load_model import load_any, no_run

        if weights is not None or isinstance(source, Model):
            return cls(source, weights=weights, engine=engine, device=device, input=input)
        try:
            model = load_any(source, input)
        except UnknownNameError as error:
            raise no_run(error) from None
        if model.weights is None:
            name = str(source) if isinstance(source, str | Path) else model.name
            raise SourceError(
                f"{name} holds no weights",
                where=name,
                why="predictions need trained weights; fresh ones are random",
                fix=f"give a folder of `striate train`, an .onnx file, or weights: {setting('weights', 'FILE')}",
            )
        return cls(model, engine=engine, device=device)


@dataclasses.dataclass(frozen=True)
class _BatchedModel:
    """Adapter of a model for evaluation: batches are split as for predictions."""

    model: Model
    batch: int

    @property
    def net(self) -> Network:
        return self.model.net

    def __call__(self, x: Array) -> Array | tuple[Array, ...]:
        return self.model._run(x, self.batch)
