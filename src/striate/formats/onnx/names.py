"""Names of nodes: the module paths that PyTorch's exporters write, else the names in the file, made unique."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from striate.formats.names import UniqueNames, legal
from striate.formats.onnx.proto import Call
from striate.op import Op

PRODUCER = "striate"
PARAMETER = re.compile(r"(.+)\.(weight|bias|running_mean|running_var|layer_scale)")


class Names:
    """Hands out node names. Parameters keep the names of the file: `layer1.0.conv1.weight` makes `layer1.0.conv1`."""

    def __init__(
        self, calls: Sequence[Call], origins: Mapping[str, str], producer: str, inputs: Iterable[str]
    ) -> None:
        self._verbatim = producer == PRODUCER
        self._used = UniqueNames()
        self.inputs = {}
        names = [*inputs]
        for name in names:
            self.inputs[name] = self._used.take(legal(name) if self._verbatim or len(names) > 1 else "input")
        self._modules: dict[Call, str] = {}
        self._paths = {call: module_path(call) for call in calls}
        readers = Counter(origins[value] for call in calls for value in {*call.inputs} if value in origins)
        for call in calls if not self._verbatim else ():
            tensors = [origins[value] for value in call.inputs if value in origins]
            owners = [(legal(match[1]), name) for name in tensors if (match := PARAMETER.fullmatch(name))]
            if owners:
                self._modules[call] = self._used.take(_owner(owners, readers, self._paths[call]))
        self._inner = {
            path[:at] for path in {*self._paths.values(), *self._modules.values()} for at in _dots(path)
        }
        self._counts: dict[Call, int] = {}

    def take(self, call: Call, op: Op) -> str:
        """The name for a call's next node; the first has the call's name."""
        count = self._counts.get(call, 0)
        self._counts[call] = count + 1
        if self._verbatim:
            base = legal(call.name) if call.name else op.word
            return self._used.take(base if not count else f"{base}.{op.word}")
        if call in self._modules:
            return self._modules[call] if not count else self._used.take(f"{self._modules[call]}.{op.word}")
        path = self._paths.get(call) or module_path(call)
        if path and path not in self._used and path not in self._inner and not count:
            return self._used.take(path)
        if path:
            return self._used.take(f"{path}.{op.word}")
        if _torch(call):
            return self._used.take(op.word)
        return self._used.take(legal(call.name or next(filter(None, call.outputs), "")) or op.word)

    def forget(self, name: str) -> None:
        """Release a name, so that a failed call is retried under it."""
        if name not in self._modules.values():
            self._used.discard(name)
        for call in self._counts:
            self._counts[call] = 0 if self._modules.get(call) == name else self._counts[call]


def _owner(owners: Sequence[tuple[str, str]], readers: Mapping[str, int], path: str) -> str:
    """The module that owns a call's parameters.

    Exporters store equal tensors once, under any of their names, so the name of a tensor with several readers proves
    nothing.
    """
    for module, _ in owners:
        if path and f"{module}.".startswith(f"{path}."):
            return module
    sole_readers = [module for module, name in owners if readers[name] == 1]
    return sole_readers[0] if sole_readers else path or owners[0][0]


def _dots(path: str) -> list[int]:
    return [at for at, letter in enumerate(path) if letter == "."] + ([0] if not path else [])


def _torch(call: Call) -> bool:
    return bool(call.scope) or call.name.startswith("/")


def module_path(call: Call) -> str:
    """The module that a call came from: `layer1.0.conv1`; empty if the file does not say.

    PyTorch writes a list of scopes into the metadata, or, with its older exporter, /layer1/layer1.0/conv1/Conv.
    """
    if call.scope:
        try:
            scopes = ast.literal_eval(call.scope)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return ""
        return legal(str(scopes[-2])) if isinstance(scopes, list) and len(scopes) > 1 else ""
    if not call.name.startswith("/"):
        return ""
    path: list[str] = []
    for part in call.name.split("/")[1:-1]:
        if path and part.startswith(f"{path[-1]}."):
            path[-1] = part
        else:
            path.append(part)
    return legal(".".join(path))
