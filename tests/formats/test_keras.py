"""Keras itself as oracle: models are built and saved by Keras (PyTorch backend), read here, and answers compared.

The outputs of every layer over its settings to 1e-4 of the largest, the number of parameters, and whole networks of
keras.applications with random weights.
"""

import importlib
import os

import numpy as np
import pytest

import striate as st

pytestmark = pytest.mark.keras("keras", "torch")


@pytest.fixture(scope="session")
def keras(tmp_path_factory):
    """Keras on PyTorch; its settings file goes to a folder of its own."""
    os.environ["KERAS_HOME"] = str(tmp_path_factory.mktemp("keras"))
    os.environ["KERAS_BACKEND"] = "torch"
    found = importlib.import_module("keras")
    assert found.backend.backend() == "torch"
    return found


@pytest.fixture
def first(keras):
    """Images with their channels first."""
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


def randomize(model, seed=0):
    """Weights that no layer starts from, at a scale that keeps values near 1."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if "float" not in str(variable.dtype):
            continue
        drawn = rng.standard_normal(variable.shape)
        if "variance" in variable.path:
            drawn = 0.5 + abs(drawn)
        elif "gamma" in variable.path:
            drawn = 1 + 0.2 * drawn
        elif len(variable.shape) > 1:
            drawn /= np.sqrt(np.prod(variable.shape[:-1]))
        else:
            drawn *= 0.1
        variable.assign(drawn.astype(np.float32))


def compared(keras, model, path, engine="numpy", fill=0, suffix=".keras"):
    """Save, read, and hold outputs and parameters to Keras'. `fill`: numbers that Keras does not keep as weights."""
    randomize(model)
    file = path / f"net{suffix}"
    model.save(file)
    net = st.load(file)
    last = keras.config.image_data_format() == "channels_last"
    x = np.random.default_rng(1).standard_normal((2, *model.inputs[0].shape[1:])).astype(np.float32)
    want = model(x, training=False)
    want = [keras.ops.convert_to_numpy(w) for w in (want if isinstance(want, list) else [want])]
    found = st.Model(net, engine=engine).predict(np.moveaxis(x, -1, 1) if last and x.ndim > 2 else x)
    found = found if isinstance(found, tuple) else (found,)
    for mine, theirs in zip(found, want, strict=True):
        mine = np.moveaxis(mine, 1, -1) if last and mine.ndim > 2 else mine
        assert mine.shape == theirs.shape
        assert abs(mine - theirs).max() <= 1e-4 * max(abs(theirs).max(), 1e-3)
    counters = sum(int(np.prod(w.shape)) for w in model.weights if "float" not in str(w.dtype))
    assert sum(p.elements for p in net.parameters.values()) == model.count_params() - counters + fill
    return net


def chain(keras, shape, *layers):
    x = start = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    return keras.Model(start, x)


IMAGE = (13, 10, 4)

CONVOLUTIONS = [
    *((f"{pad} {k} /{s}", "Conv2D", {"filters": 6, "kernel_size": k, "strides": s, "padding": pad})
      for pad in ("same", "valid") for k, s in ((1, 2), (2, 1), (2, 2), (3, 2), (3, 3), (5, 3), ((3, 2), (2, 3)))),
    ("dilated", "Conv2D", {"filters": 6, "kernel_size": 3, "dilation_rate": (2, 1), "padding": "same"}),
    ("groups", "Conv2D", {"filters": 8, "kernel_size": 3, "groups": 2, "activation": "silu"}),
    ("one group each", "Conv2D", {"filters": 4, "kernel_size": 3, "groups": 4, "use_bias": False}),
    ("depthwise", "DepthwiseConv2D", {"kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu6"}),
    ("depthwise x2", "DepthwiseConv2D", {"kernel_size": (3, 2), "depth_multiplier": 2}),
    ("separable", "SeparableConv2D", {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same"}),
    ("separable x3", "SeparableConv2D", {"filters": 5, "kernel_size": 3, "depth_multiplier": 3, "dilation_rate": 2}),
    *((f"transposed {pad} {k} /{s} + {extra}", "Conv2DTranspose",
       {"filters": 3, "kernel_size": k, "strides": s, "padding": pad, "output_padding": extra})
      for pad in ("same", "valid") for k, s, extra in
      ((1, 3, None), (2, 2, None), (3, 2, None), (3, 2, 0), (3, 2, 1), (4, 2, None), (5, 3, 2), (2, 3, None))),
    ("transposed dilated", "Conv2DTranspose", {"filters": 3, "kernel_size": 3, "dilation_rate": 2, "padding": "same"}),
    ("dense", "Dense", {"units": 7, "activation": "gelu"}),
]  # fmt: skip

LAYERS = [
    *((f"{word} {pad} {k} /{s}", f"{word}Pooling2D", {"pool_size": k, "strides": s, "padding": pad})
      for word, pad, k, s in (("Max", "same", 3, 2), ("Max", "valid", (3, 2), 1), ("Max", "same", 2, None),
                              ("Average", "valid", 3, 2), ("Average", "same", 3, 1), ("Average", "same", 2, 3))),
    ("gap", "GlobalAveragePooling2D", {}),
    ("gmp", "GlobalMaxPooling2D", {"keepdims": True}),
    ("bins", "AdaptiveAveragePooling2D", {"output_size": (3, 4)}),
    ("batch norm", "BatchNormalization", {"epsilon": 0.01}),
    ("batch norm of rows", "BatchNormalization", {"axis": 1}),
    ("layer norm", "LayerNormalization", {}),
    ("layer norm of all", "LayerNormalization", {"axis": [1, 2, 3]}),
    ("group norm", "GroupNormalization", {"groups": 2}),
    ("instance norm", "GroupNormalization", {"groups": -1}),
    ("normalized", "Normalization", {}),
    ("normalized back", "Normalization", {"mean": 1.0, "variance": 2.0, "invert": True}),
    ("rescaled", "Rescaling", {"scale": 1 / 255, "offset": -1}),
    ("padded", "ZeroPadding2D", {"padding": ((1, 2), (0, 3))}),
    ("cropped", "Cropping2D", {"cropping": ((1, 2), (0, 3))}),
    ("nearest", "UpSampling2D", {"size": (2, 3)}),
    ("bilinear", "UpSampling2D", {"size": 3, "interpolation": "bilinear"}),
    ("resized", "Resizing", {"height": 20, "width": 7}),
    ("resized whole", "Resizing", {"height": 26, "width": 20, "interpolation": "nearest"}),
    ("slopes", "PReLU", {"shared_axes": [1, 2]}),
    ("slope", "PReLU", {"shared_axes": [1, 2, 3]}),
    ("slopes everywhere", "PReLU", {}),
    ("relu6", "ReLU", {"max_value": 6}),
    ("relu3", "ReLU", {"max_value": 3}),
    ("relu sloped", "ReLU", {"negative_slope": 0.1}),
    ("leaky", "LeakyReLU", {"negative_slope": 0.2}),
    ("elu", "ELU", {"alpha": 0.7}),
    ("softmax", "Softmax", {}),
    ("softmax of rows", "Softmax", {"axis": 1}),
    ("dropout", "Dropout", {"rate": 0.3}),
    ("depth", "Dropout", {"rate": 0.3, "noise_shape": (None, 1, 1, 1)}),
    ("noise", "GaussianNoise", {"stddev": 0.3}),
    ("flips", "RandomFlip", {}),
    ("turned", "Permute", {"dims": (2, 1, 3)}),
    ("rows", "Reshape", {"target_shape": (-1, 4)}),
    ("other rows", "Reshape", {"target_shape": (10, 13, 4)}),
    ("split", "Reshape", {"target_shape": (26, 5, 2, 2)}),
    ("flat", "Flatten", {}),
    *((word, "Activation", {"activation": word}) for word in
      ("relu", "relu6", "sigmoid", "tanh", "softplus", "softsign", "silu", "elu", "selu", "gelu", "mish", "hard_silu",
       "hard_tanh", "leaky_relu", "hard_sigmoid", "log_softmax", "exponential", "celu")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "settings"), [c[1:] for c in CONVOLUTIONS], ids=[c[0] for c in CONVOLUTIONS]
)
def test_convolutions(keras, tmp_path, kind, settings):
    compared(keras, chain(keras, IMAGE, getattr(keras.layers, kind)(**settings)), tmp_path)


@pytest.mark.parametrize(("kind", "settings"), [c[1:] for c in LAYERS], ids=[c[0] for c in LAYERS])
def test_layers(keras, tmp_path, kind, settings):
    compared(keras, chain(keras, IMAGE, getattr(keras.layers, kind)(**settings)), tmp_path)


def test_numbers_of_a_configuration(keras, tmp_path):
    """Scales and shifts by channel, which Keras does not count among the weights."""
    L = keras.layers
    model = chain(keras, IMAGE, L.Rescaling([0.1, 0.2, 0.3, 0.4], [1, 2, 3, 4]))
    compared(keras, model, tmp_path, fill=8)
    compared(
        keras,
        chain(keras, IMAGE, L.Normalization(mean=[1, 2, 3, 4], variance=[1.0, 2, 3, 4])),
        tmp_path,
        fill=8,
    )
    compared(keras, chain(keras, IMAGE, L.BatchNormalization(scale=False)), tmp_path, fill=4)
    compared(keras, chain(keras, IMAGE, L.LayerNormalization(center=False)), tmp_path, fill=4)


def test_one_and_three_dimensions(keras, tmp_path):
    L = keras.layers
    line = [
        L.ZeroPadding1D((1, 2)), L.Conv1D(5, 3, strides=2, padding="same"), L.BatchNormalization(), L.MaxPooling1D(),
        L.Conv1D(5, 3, padding="causal", dilation_rate=2), L.SeparableConv1D(4, 2), L.UpSampling1D(2),
        L.Conv1DTranspose(3, 3, strides=2, padding="same"), L.Cropping1D((1, 0)), L.Dense(4),
        L.GlobalAveragePooling1D(),
    ]  # fmt: skip
    compared(keras, chain(keras, (30, 4), *line), tmp_path)
    volume = [
        L.Conv3D(5, 3, strides=2, padding="same"), L.BatchNormalization(), L.MaxPooling3D(2, padding="same"),
        L.ZeroPadding3D(1), L.UpSampling3D(2), L.Conv3DTranspose(2, 3, strides=2, padding="same"), L.Flatten(),
        L.Dense(3),
    ]  # fmt: skip
    compared(keras, chain(keras, (8, 6, 7, 2), *volume), tmp_path)
    vector = [
        L.Dense(5, activation="tanh"),
        L.BatchNormalization(),
        L.PReLU(),
        L.Dense(3, activation="softmax"),
    ]
    compared(keras, chain(keras, (20,), *vector), tmp_path)


def test_numbers_flattened_in_another_order(keras, tmp_path):
    """What follows Flatten takes its weights in the order that the numbers have here."""
    L = keras.layers
    shared = [L.Flatten(), L.Dropout(0.1)]
    norms = [L.BatchNormalization(), L.LayerNormalization(), L.PReLU()]
    compared(keras, chain(keras, IMAGE, *shared, *norms, L.Dense(5)), tmp_path)
    compared(keras, chain(keras, IMAGE, L.Flatten(), L.Activation("relu")), tmp_path)
    compared(keras, chain(keras, IMAGE, *shared, L.Reshape(IMAGE), L.Conv2D(2, 3)), tmp_path)
    compared(keras, chain(keras, IMAGE, *shared, L.Reshape((10, 13, 4)), L.Conv2D(2, 3)), tmp_path)
    model = chain(
        keras, (20,), L.Dense(120), L.ReLU(), L.Reshape((4, 5, 6)), L.Conv2DTranspose(3, 4, strides=2)
    )
    compared(keras, model, tmp_path)


@pytest.mark.parametrize("order", [(1, 2, 3), (2, 1, 3), (3, 1, 2), (1, 3, 2), (3, 2, 1)], ids=str)
def test_reshape_behind_permute(keras, tmp_path, order):
    """The same numbers in row-major order, whatever axes they come from."""
    L = keras.layers
    for target in ((24, 4), (6, 16), (96,), (2, 3, 4, 4), (1, 1, 96), (8, 12), (3, 2, 16), (4, 24)):
        compared(keras, chain(keras, (6, 4, 4), L.Permute(order), L.Reshape(target), L.Dense(3)), tmp_path)


def test_branches(keras, tmp_path):
    L, K = keras.layers, keras.ops
    start = keras.Input((12, 12, 4))
    x = L.Conv2D(4, 3, padding="same")(start)
    y = L.Add()([x, start, x])
    y = L.Minimum()([L.Subtract()([y, x]), start])
    y = L.Maximum()([L.Average()([y, x, start]), L.Multiply()([y, x])])
    y = L.Multiply()([y, L.GlobalMaxPooling2D()(y)])  # a vector for every image
    y = L.Concatenate()([y, x])
    y = L.Concatenate(axis=1)([y, y])
    flat = L.Concatenate()([L.Flatten()(y), L.GlobalAveragePooling2D()(x), L.Flatten()(x)])
    compared(keras, keras.Model(start, [y, L.Dense(3)(L.ReLU()(flat))]), tmp_path)
    z = K.add(x, 3.0) * (1 / 6.0)
    z = -((2.0 - (z - x)) / 4)
    z = K.exp(-K.absolute(z / (K.exp(x) + 1.0)))
    z = K.clip(K.minimum(K.maximum(z, 0.1), 2.0), 0.2, 1.5)
    z = K.maximum(z, x) * K.mean(x, axis=[1, 2], keepdims=True)
    z = K.hard_sigmoid(K.leaky_relu(K.gelu(K.silu(K.relu6(z))), 0.3))
    z = K.transpose(K.softmax(K.reshape(z, (-1, 144, 4)), axis=-1), (0, 2, 1))
    compared(keras, keras.Model(start, L.Dense(3)(z)), tmp_path)


def test_models_inside_models_and_shared_layers(keras, tmp_path):
    L = keras.layers
    inside = keras.Input((None, None, 4))
    x = L.Conv2D(4, 3, padding="same")(inside)
    inner = keras.Model(inside, [x, L.ReLU()(x)], name="inner")
    start = keras.Input((12, 12, 4))
    a, b = inner(start)
    c, d = inner(b)
    shared = L.Conv2D(4, 1, name="shared")
    e = L.Concatenate()([shared(a), shared(d), c])
    head = keras.Sequential([L.Conv2D(3, 1), L.Flatten()], name="head")
    model = keras.Model(start, [L.Dense(3, activation="softmax", name="out")(head(e)), e])
    net = compared(keras, model, tmp_path)
    assert [(n.name, n.shares) for n in net.nodes if n.name.startswith("shared")] == [
        ("shared", ""),
        ("shared_2", "shared"),
    ]


@pytest.mark.usefixtures("first")
def test_channels_first(keras, tmp_path):
    L = keras.layers
    layers = [
        L.Conv2D(4, 3, strides=2, padding="same", activation="relu"), L.BatchNormalization(axis=1),
        L.DepthwiseConv2D(3), L.PReLU(shared_axes=[2, 3]), L.MaxPooling2D(2, padding="same"), L.ZeroPadding2D(1),
        L.Normalization(axis=1),
        L.Dropout(0.1), L.Flatten(), L.Dense(5, activation="softmax"),
    ]  # fmt: skip
    compared(keras, chain(keras, (3, 12, 12), *layers), tmp_path)
    layers = [
        L.Conv2D(4, 3, activation="softmax"),
        L.Dense(7),
        L.LayerNormalization(),
        L.Reshape((4, -1)),
        L.Softmax(),
    ]
    compared(keras, chain(keras, (3, 12, 12), *layers), tmp_path)
    layers = [
        L.Conv2DTranspose(4, 3, strides=2),
        L.UpSampling2D(2),
        L.Permute((2, 3, 1)),
        L.Flatten(),
        L.Dense(4),
    ]
    compared(keras, chain(keras, (3, 12, 12), *layers), tmp_path)


def test_the_format_before(keras, tmp_path):
    """A whole model in one HDF5 file, models inside models included."""
    L = keras.layers
    head = keras.Sequential([L.Conv2D(3, 1), L.BatchNormalization(), L.Flatten()], name="head")
    model = chain(
        keras, IMAGE, L.SeparableConv2D(4, 3, activation="relu"), head, L.Dense(3, activation="softmax")
    )
    compared(keras, model, tmp_path, suffix=".h5")


def test_code_is_not_run(keras, tmp_path):
    """Lambda and classes of one's own, as Keras writes them: opaque, with the shapes that the file gives."""
    L = keras.layers

    class Twice(L.Layer):
        def call(self, x):
            return x * 2

    layers = [L.Conv2D(4, 3), L.Lambda(lambda x: x[:, ::2], name="code"), Twice(name="own"), L.Conv2D(3, 3)]
    chain(keras, IMAGE, *layers).save(tmp_path / "net.keras")
    net = st.load(tmp_path / "net.keras")
    said = {node.name: str(node.op) for node in net.nodes}
    assert said["code"] == 'opaque "Lambda (Python code, not run)" shape 4,6,8 params 0'
    assert "not run" in said["own"]
    assert {d.node for d in st.check(net).findings if d.code == "X001"} >= {"code"}
    assert net.weights.keys() == net.parameters.keys()


NETWORKS = {
    "MobileNetV2": 32, "ResNet50": 32, "DenseNet121": 32,
    "EfficientNetB0": 32, "NASNetMobile": 32, "Xception": 71,
}  # fmt: skip
"""Name in keras.applications -> size of the image."""


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(keras, tmp_path, monkeypatch, name):
    """Whole networks. Keras builds NASNet, too, on PyTorch, though it says that it does not."""
    size = NETWORKS[name]
    if name == "NASNetMobile":
        nasnet = importlib.import_module("keras.src.applications.nasnet")
        monkeypatch.setattr(nasnet.backend, "backend", lambda: "jax")
    build = getattr(keras.applications, name)
    model = build(weights=None, input_shape=(size, size, 3), classes=10)
    monkeypatch.undo()
    net = compared(keras, model, tmp_path, engine="auto")
    assert not any(node.op.word == "opaque" for node in net.nodes)
    assert len(net.outputs) == 1 and net.specs[net.outputs[0]].shape == (1, 10)


def test_the_reason_of_an_unsupported_layer_is_in_x001(keras, tmp_path):
    layers = keras.layers
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.UnitNormalization(), layers.ReLU()])
    model.save(tmp_path / "m.keras")
    (finding,) = [f for f in st.check(st.load(tmp_path / "m.keras")).findings if f.code == "X001"]
    assert "UnitNormalization is not a layer that Striate knows" in finding.why


def test_a_rule_that_fails_names_the_layer_and_says_what_failed(keras, monkeypatch, tmp_path):
    from striate.diagnostics import FormatError
    from striate.formats.keras.layers import READERS

    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.ReLU(name="rectified")]).save(tmp_path / "m.keras")
    monkeypatch.setitem(READERS, "ReLU", lambda site: {}["missing"])
    with pytest.raises(FormatError, match="rectified") as caught:
        st.load(tmp_path / "m.keras")
    assert "Striate's rule for ReLU" in caught.value.why and "KeyError" in caught.value.why
