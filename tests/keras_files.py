"""Keras files made by hand: configurations as dictionaries, weights as lists of arrays by their place in the file."""

import io
import json
import zipfile

VERSION = "3.15.1"


def layer(kind, name, reads=None, module="keras.layers", **config):
    """One layer's entry; reads: names of the layers it reads, or (name, call) pairs."""
    entry = {"class_name": kind, "config": {"name": name, **config}, "registered_name": None, "name": name}
    if module is not None:
        entry["module"] = module
    if reads is not None:
        entry["inbound_nodes"] = [{"args": [[tensor(r) for r in reads]], "kwargs": {}}] if reads else []
    return entry


def tensor(source, shape=None):
    name, call = source if isinstance(source, tuple) else (source, 0)
    return {"class_name": "__keras_tensor__", "config": {"shape": shape, "keras_history": [name, call, 0]}}


def sequential(*layers, input=(12, 12, 3), name="net"):
    first = layer("InputLayer", "first", batch_shape=[None, *input])
    return {
        "class_name": "Sequential", "module": "keras", "registered_name": None,
        "config": {"name": name, "layers": [first, *layers]},
    }  # fmt: skip


def functional(*layers, outputs, input=(12, 12, 3), name="net"):
    first = layer("InputLayer", "first", [], batch_shape=[None, *input])
    ends = [[end, 0, 0] for end in outputs]
    return {
        "class_name": "Functional", "module": "keras.src.models.functional", "registered_name": "Functional",
        "config": {
            "name": name, "layers": [first, *layers], "input_layers": [["first", 0, 0]], "output_layers": ends,
        },
    }  # fmt: skip


def hdf5(weights, root="layers"):
    """The bytes of a file of weights: {"conv2d": [kernel, bias], "sequential/layers/dense": [...]}."""
    import h5py

    made = io.BytesIO()
    with h5py.File(made, "w") as file:
        for place, arrays in weights.items():
            for at, array in enumerate(arrays):
                file[f"{root}/{place}/vars/{at}"] = array
    return made.getvalue()


def archive(path, config, weights=None, version=VERSION, compression=zipfile.ZIP_STORED, **more):
    """Write a .keras file; weights: a dictionary, or the bytes of the entry."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("metadata.json", json.dumps({"keras_version": version}))
        file.writestr("config.json", config if isinstance(config, bytes | str) else json.dumps(config))
        if weights is not None:
            file.writestr("model.weights.h5", weights if isinstance(weights, bytes) else hdf5(weights))
        for name, data in more.items():
            file.writestr(name, data)
    return path
