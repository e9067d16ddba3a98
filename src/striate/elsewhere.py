"""Names from Keras, PyTorch, torchinfo and scikit-learn, and what to write in Striate instead.

One table for each place where such a name can occur. `VALUES` are understood. For names in the other tables, an error
says what to write, because a name does not bring another framework's defaults and side effects. Names of ops and of
their arguments are in `striate.op.spelling`, those of commands and options in `striate.cli`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from striate.diagnostics import suggest, warn


def _table(answers: Mapping[str, str]) -> dict[str, str]:
    """Name -> answer, from names in a row -> answer."""
    return {name: answer for names, answer in answers.items() for name in names.split()}


VALUES: Mapping[str, str] = _table(
    {
        "categoricalcrossentropy sparsecategoricalcrossentropy crossentropyloss softmaxcrossentropy nll nllloss ce":
            "cross_entropy",
        "binarycrossentropywithlogits sigmoidcrossentropy bce bceloss bcewithlogits bcewithlogitsloss":
            "binary_cross_entropy",
        "mse mseloss": "mean_squared_error",
        "cosineannealing cosineannealinglr cosinedecay": "cosine",
        "onecyclelr": "onecycle",
        "steplr multistep multisteplr": "step",
        "reducelronplateau": "plateau",
        "valloss": "loss",
        "acc valacc valaccuracy": "accuracy",
    }
)  # fmt: skip
"""Folded word -> Striate's word for the same thing, for all options with a fixed set of words."""

_WEIGHTS = "write model.weights, a mapping of names to arrays"
_DATA = "give it to fit: model.fit(x, y, {}=…)"
_NODES = 'write model.net.nodes, or model.net["conv1"] for one of them'
_INFERENCE = "leave it out: fit trains; predict, classify and evaluate run as at inference"
_DEVICE = 'write st.Model(model, engine="torch", device="cuda"), or leave it out to stay on the CPU'
_BUILD = (
    'write a new network: st.parse("28x28x1 -> conv 3x3 8 -> relu"), or st.Builder; networks do not change'
)
_ONNX = 'write model.export("model.onnx") and convert that file'

MODEL: Mapping[str, str] = _table(
    {
        "state_dict parameters named_parameters buffers named_buffers get_weights trainable_weights variables "
        "trainable_variables trainable_parameters non_trainable_weights non_trainable_variables": _WEIGHTS,
        "load_state_dict set_weights": "write model.weights = {name: array, …}",
        "load_weights load_model from_pretrained": "write st.Model(model.net, weights=FILE)",
        "save_weights save_pretrained save_model": 'write model.save("folder"), or model.export("weights.safetensors")',
        "forward call infer predict_on_batch predict_step": "write model.predict(x)",
        "predict_proba predict_classes predict_generator": "write model.classify(images, top=3)",
        "train fit_generator train_on_batch train_step training_step train_model partial_fit":
            "write model.fit(x, y, epochs=10)",
        "eval training inference_mode no_grad": _INFERENCE,
        "val test validate score test_on_batch evaluate_generator test_step": "write model.evaluate(x, y)",
        "to cuda cpu gpu mps device": _DEVICE,
        "half float double bfloat16 dtype type": "leave it out: weights are float32; fit(amp=True) mixes precisions",
        "requires_grad requires_grad_ trainable freeze unfreeze":
            "name what is not trained where the network is built: build(op, x, frozen=[\"weight\"]) with st.Builder",
        "zero_grad backward step grad gradients": "leave it out: fit computes gradients and makes the updates",
        "layers get_layer modules named_modules children named_children submodules": _NODES,
        "count_params num_parameters num_params n_params numel params total_params":
            "write st.analyze(model).totals.params",
        "input_shape input_size": "write model.net.input.shape",
        "output_shape": "write model.net.specs[model.net.outputs[0]].shape",
        "inputs input": "write model.net.inputs",
        "outputs output": "write model.net.outputs",
        "name": "write model.net.name",
        "nodes": "write model.net.nodes",
        "network graph": "write model.net",
        "optimizer": _DATA.format("optimizer"),
        "loss criterion": _DATA.format("loss"),
        "metrics metrics_names": "write model.evaluate(x, y), or history = model.fit(x, y)",
        "history": "write history = model.fit(x, y)",
        "build built": "leave it out: a model is complete once it is made",
        "add pop append insert": _BUILD,
        "get_config to_json to_yaml config to_dict": "write model.net.to_dict()",
        "to_onnx": 'write model.export("model.onnx")',
        "to_keras to_tflite to_tensorrt to_torchscript to_coreml to_openvino quantize": _ONNX,
        "info describe print_summary table": "write model.summary()",
        "plot plot_model draw visualize": "write st.draw(model)",
        "check lint": "write st.check(model)",
        "report html": 'run striate report FOLDER -o report.html after model.save("FOLDER")',
        "register_forward_hook register_hook hooks get_intermediate":
            'write st.Model(dataclasses.replace(model.net, outputs=("conv1",)), weights=model.weights)',
        "apply reset_parameters init_weights reset_states": "write st.Model(model.net, seed=1)",
    }
)  # fmt: skip
"""Attributes of models."""

_OF_NETWORK = "write model = st.Model(net), then model."
NETWORK: Mapping[str, str] = {
    **{
        name: answer.replace("model.net", "net")
        .replace(", weights=model.weights", "")
        .replace("(model)", "(net)")
        .replace("write model.", _OF_NETWORK)
        for name, answer in MODEL.items()
    },
    **{
        name: f"{_OF_NETWORK}{name}(…)"
        for name in ("fit", "predict", "classify", "evaluate", "compile", "save", "export", "to_torch")
    },
    **_table(
        {
            "weights": f"{_OF_NETWORK}weights",
            "report html": "run striate report MODEL -o report.html",
            "plot plot_model draw visualize": "write st.draw(net)",
            "check lint": "write st.check(net)",
            "summary info describe print_summary table": "write print(net)",
            "params": "write net.parameters, a mapping of names to shapes",
        }
    ),
}
"""Attributes of networks; for those that only a model has, the answer makes a model."""

RESULTS: Mapping[str, str] = _table(
    {
        "history": 'write history["accuracy"], history["loss"] (validation), history["train_accuracy"], '
        'history["train_loss"]',
        "epoch epochs": 'write history["epoch"]',
        "params": 'write history.rows, or history["lr"]',
        "acc score": "write evaluation.accuracy",
        "confusion_matrix confusion": "write evaluation.tally.confusion; st.draw(evaluation) draws it",
        "curves plot_history": "write history.plot()",
    }
)
"""Attributes of what `fit` and `evaluate` return."""

ANALYSIS: Mapping[str, str] = _table(
    {
        "total_params params parameters num_params n_params trainable_params count_params": "write facts.totals.params",
        "total_macs macs flops total_mult_adds mult_adds gmacs": "write facts.totals.macs",
        "memory peak_memory peak_bytes": "write facts.totals.peak_bytes",
        "activation_bytes activations": "write facts.totals.activation_bytes",
        "layers modules summary_list": "write facts.nodes",
        "receptive_field receptive_fields windows output output_shape":
            'write facts["conv1"], which has output, windows, receptive_field, params and macs',
        "findings errors warnings": "write st.check(model)",
        "summary table show": "write print(facts)",
    }
)  # fmt: skip
"""Attributes of what `analyze` returns."""

TOTALS: Mapping[str, str] = _table(
    {
        "total_params parameters num_params n_params trainable_params": "write facts.totals.params",
        "total_macs flops total_mult_adds mult_adds gmacs": "write facts.totals.macs",
        "memory peak_memory bytes": "write facts.totals.peak_bytes",
    }
)
"""Attributes of its totals."""

NODE_FACTS: Mapping[str, str] = _table(
    {
        "shape output_shape output_size": "write node.output.shape",
        "input_shape": "write facts.network.specs[node.inputs[0]].shape",
        "parameters num_params": "write node.params",
        "flops mult_adds": "write node.macs",
        "memory bytes": "write node.activation_bytes",
        "kernel kernel_size stride padding": 'write node.windows["h"]',
        "field": "write node.receptive_field",
    }
)
"""Attributes of the facts of one node."""

REPORT: Mapping[str, str] = _table(
    {
        "errors": 'write [finding for finding in report if finding.severity == "error"]',
        "warnings": 'write [finding for finding in report if finding.severity == "warning"]',
        "codes": "write [finding.code for finding in report]",
        "issues problems diagnostics results messages items": "write report.findings",
        "ok passed success valid clean": "write not report.findings",
        "summary print show text": "write print(report)",
    }
)
"""Attributes of what `check` returns."""

FITTING_SIZES: Mapping[str, str] = _table(
    {
        "best closest suggested sizes": "write sizes.nearest",
        "fits modulus residues rule minimum": 'write sizes.axes["h"], which has rule, modulus, residues and fits(224)',
    }
)
"""Attributes of what `sizes` returns."""

PICTURE: Mapping[str, str] = _table(
    {
        "show display view": 'write picture.save("net.svg"); a notebook shows a picture that ends its cell',
        "savefig write export render": 'write picture.save("net.svg")',
    }
)
"""Attributes of pictures."""

_LAYERS = 'write st.parse("28x28x1 -> conv 3x3 8 -> relu"), or st.Builder with the ops of st.ops'
_ARRAYS = "write it with numpy: arrays go in and come out"
_SEED = "write st.Model(…, seed=0) and fit(…, seed=0)"
PACKAGE: Mapping[str, str] = _table(
    {
        "nn layers Sequential Module Layer keras Input": _LAYERS,
        "Tensor randn rand zeros ones from_numpy arange": _ARRAYS,
        "cuda device backends accelerator is_available": _DEVICE,
        "no_grad inference_mode set_grad_enabled autograd": _INFERENCE,
        "optim optimizers optimizer Adam AdamW SGD": 'write model.fit(…, optimizer="adam")',
        "losses loss CrossEntropyLoss BCEWithLogitsLoss MSELoss": 'write model.fit(…, loss="cross_entropy")',
        "metrics": "write model.evaluate(x, y)",
        "callbacks EarlyStopping": "write model.fit(…, patience=5), or callbacks=[function]",
        "lr_scheduler schedulers schedules": 'write model.fit(…, schedule="cosine")',
        "save save_model": 'write model.save("folder"), or model.export("model.onnx")',
        "load_model load_weights": "write st.Model.load(PATH)",
        "get_model create_model build_model": 'write st.create("resnet18")',
        "summary info torchinfo print_summary": "write print(net), or model.summary()",
        "compile": "write model.compile(), which makes a program for a batch size",
        "fit": "write model.fit(x, y)",
        "predict": "write model.predict(x)",
        "evaluate": "write model.evaluate(x, y)",
        "manual_seed set_seed seed random_seed random": _SEED,
        "datasets dataset DataLoader Dataset data utils ImageFolder": 'write st.open_data("folder"), or fit(x, y)',
        "applications hub torchvision timm": 'write st.create("resnet18")',
        "count_params flops profile": "write st.analyze(net).totals",
        "lint": "write st.check(net)",
        "plot_model plot layered_view graph_view draw_graph visualkeras torchview netron": "write st.draw(net)",
        "diff compare": "run striate diff A B",
        "report html": "run striate report MODEL -o report.html",
        "zoo catalogue catalog": "write st.list_models()",
        "YOLO": 'write st.Model("resnet18"), then model.fit("folder of images")',
        "from_keras from_onnx": "write st.load(FILE)",
    }
)
"""Names of the package."""

_DATA_LOADING = "leave it out: {} is decided by the engine and the reader"
_PARTS = "fit(st.open_data((x, y), holdout=0.2)), or validation=(x, y)"
_OUT = 'out="folder", which keeps the run'
SETTINGS: Mapping[str, str] = _table(
    {
        "learning_rate max_lr lr0 base_lr": "lr",
        "batch bs": "batch_size",
        "n_epochs nb_epoch nb_epochs num_epochs max_epochs epoch": "epochs",
        "wd decay l2": "weight_decay",
        "scheduler lr_scheduler": "schedule",
        "validation_data val_data val valid eval_set validation_dataset": "validation",
        "criterion loss_fn": "loss",
        "opt": "optimizer",
        "clipnorm max_grad_norm gradient_clip_val grad_clip": "clip_norm",
        "clipvalue": "clip_value",
        "class_weight": "class_weights",
        "accumulate_grad_batches gradient_accumulation_steps accumulation_steps": "accumulate",
        "random_state random_seed manual_seed": "seed",
        "fp16 mixed_precision half precision": "amp",
        "warmup warmup_steps": "warmup_epochs",
        "logger logging report_to": "log",
        "early_stopping early_stopping_rounds": "patience",
        "save_dir output_dir project checkpoint_dir log_dir run_dir": _OUT,
        "x X y images data": "give images and labels in order: fit(x, y)",
        "validation_split val_split test_size validation_size holdout": _PARTS,
        "shuffle": "leave it out: every epoch has an order of its own, which follows from the seed",
        "num_workers workers n_jobs use_multiprocessing": _DATA_LOADING.format("how many work on it"),
        "pin_memory prefetch_factor persistent_workers max_queue_size": _DATA_LOADING.format("reading ahead"),
        "steps_per_epoch validation_steps limit_train_batches": "leave it out, or give fewer images: fit(x[:n], y[:n])",
        "validation_freq validation_batch_size": "leave it out: every epoch ends with a pass over the validation data",
        "initial_epoch": "fit(resume=RUN) continues a run",
        "sample_weight sample_weights": "class_weights, one factor per class",
        "metrics": "leave it out: accuracy and loss are measured in every epoch",
        "betas": "beta1=0.9, beta2=0.999",
        "device engine gpus gpu accelerator": 'st.Model(…, engine="torch", device="cuda")',
        "augment augmentation transform transforms": "flip, pad_crop, jitter and the other settings of augmentation",
        "imgsz image_size input_size input_shape": 'st.Model(…, input="32x32x3")',
        "verbosity progress progress_bar": "verbose",
        "num_classes": 'st.create("resnet18", num_classes=10)',
    }
)
"""Arguments of `fit`, of configuration files and of `striate train`."""

_QUIET = "leave it out: nothing is printed"
_NO_FETCH = "leave it out, or name a file, st.Model(…, weights=FILE): nothing is fetched from a network"
_TRAINING = 'leave compile out, and write model.fit(x, y, optimizer="adam", loss="cross_entropy")'
_OF_INPUT = "give a model of this input: st.Model(net, input=(3, 224, 224))"
ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "Model.__init__": _table(
        {
            "input_shape input_size image_size": 'input="28x28x1"',
            "num_classes classes n_classes": "st.Model(st.create({name}, num_classes={value}))",
            "pretrained": _NO_FETCH,
            "inputs outputs layers": _BUILD,
        }
    ),
    "Model.compile": {
        **_table(
            {
                "optimizer loss metrics": _TRAINING,
                "loss_weights weighted_metrics": "leave it out: fit measures loss and accuracy",
                "run_eagerly jit_compile steps_per_execution mode backend fullgraph dynamic": "leave it out",
                "batch_size": "batch",
            }
        ),
    },
    "Model.predict": _table({"verbose steps": _QUIET}),
    "Model.__call__": _table({"training": _INFERENCE}),
    "Model.classify": _table({"verbose": _QUIET, "k top_k": "top"}),
    "Model.evaluate": _table({"verbose steps return_dict": _QUIET, "test_data validation_data x y": "data, labels"}),
    "Model.summary": _table(
        {
            "input_size input_shape input_data": "model.summary(): a model has its input; st.load(NAME, input) another",
            "line_length positions expand_nested show_trainable depth col_names col_width row_settings verbose device":
                "leave it out, or read the numbers: st.analyze(model)",
        }
    ),
    "create": _table(
        {
            "pretrained weights": _NO_FETCH,
            "input_shape input_size image_size img_size": "input=(3, 224, 224)",
            "in_chans in_channels input_channels": "input=(1, 224, 224)",
            "classes n_classes": "num_classes",
            "include_top": "leave it out, or build the network without its head",
        }
    ),
    "Model.export": _table({"format": 'the suffix of the file names the format: model.export("model.onnx")'}),
    "draw": _table(
        {
            "to_file filename filepath file path out output save_path": 'st.draw(…).save("net.svg")',
            "input input_size input_shape": _OF_INPUT,
        }
    ),
    "analyze": _table({"input input_size input_shape": _OF_INPUT}),
    "check": _table({"input input_size input_shape": _OF_INPUT}),
    "list_models": _table({"pretrained": "leave it out: the catalogue has no weights", "filter": "pattern"}),
}  # fmt: skip
"""Keyword arguments of other functions, by their qualified names."""

FILES = (
    ".bin", ".ckpt", ".h5", ".hdf5", ".joblib", ".json", ".keras", ".mlmodel", ".npy", ".npz", ".onnx", ".pb",
    ".pickle", ".pkl", ".pt", ".pt2", ".pth", ".py", ".safetensors", ".tar", ".tflite", ".toml", ".torchscript",
    ".yaml", ".yml", ".zip",
)  # fmt: skip
"""Suffixes of files that hold models; other names are those of folders."""

MODULES: Mapping[str, str] = {
    "models": 'write st.list_models("*"), or st.create("resnet18") for one of them',
    "train": "write model.fit(x, y)",
    "checks": "write st.check(net)",
    "analysis": "write st.analyze(net)",
}
"""Packages of Striate that are taken for functions: the commands `striate models` and `striate train` are."""

_reported_words: set[str] = set()


def fold(name: str) -> str:
    """A name without capitals and marks between words: ``LeakyReLU`` and ``leaky_relu`` are one."""
    return name.lower().translate({ord(mark): None for mark in "_- "})


def value(word: str, options: tuple[str, ...]) -> str:
    """The option that a word means, or the word itself; warns once about each name of another framework.

    >>> value("AdamW", ("sgd", "adamw")), value("huber", ("cross_entropy",))
    ('adamw', 'huber')
    """
    plain = fold(word)
    for option in options:
        if fold(option) == plain:
            return option
    ours = VALUES.get(plain, word)
    if ours not in options:
        return word
    if plain not in _reported_words:
        _reported_words.add(plain)
        warn(f"Striate says {ours} for {word}")
    return ours


def answer(text: str, name: str = "", value: object = None) -> str:
    """A table's entry as a fix; a bare name becomes a question.

    name, value: of the call, which replace {name} and {value} if they are a model's name and a number.
    """
    if text.replace("-", "_").isidentifier():
        return f"did you mean {text}?"
    shown = name if name.isidentifier() else "resnet18"
    number = value if isinstance(value, int) else 10
    return text.replace("{name}", f'"{shown}"').replace("{value}", str(number))


_TABLES: Mapping[str, tuple[Mapping[str, str], str]] = {
    "Model": (MODEL, "model.net"), "Network": (NETWORK, "net"), "History": (RESULTS, ""), "Evaluation": (RESULTS, ""),
    "Picture": (PICTURE, ""), "Analysis": (ANALYSIS, ""), "Totals": (TOTALS, ""), "NodeFacts": (NODE_FACTS, ""),
    "Report": (REPORT, ""), "Sizes": (FITTING_SIZES, ""),
}  # fmt: skip
"""Class -> table of attributes that it lacks, and the expression of its network."""


def no_member(holder: object, name: str) -> AttributeError:
    """The error for an attribute that an object lacks, with what to write."""
    kind = type(holder).__name__
    if name.startswith("_"):
        return AttributeError(f"{kind!r} object has no attribute {name!r}")
    table, net = next(_TABLES[cls.__name__] for cls in type(holder).__mro__ if cls.__name__ in _TABLES)
    members = getattr(holder, "__dict__", {})
    if name in members.get("_by_name", members.get("net", ())):
        hint = f'write {net}["{name}"]'
    elif not (hint := table.get(name, "")):
        near = suggest(name, [word for word in dir(holder) if word[0] != "_"])
        hint = near and f"did you mean {near}?"
    return AttributeError(f"{kind} has no attribute {name!r}" + (f"; {hint}" if hint else ""))


class Teaching:
    """Base of classes that answer an attribute of another framework with what to write."""

    __slots__ = ()

    if not TYPE_CHECKING:  # type checkers see the real attributes only

        def __getattr__(self, name: str) -> Any:
            raise no_member(self, name)
