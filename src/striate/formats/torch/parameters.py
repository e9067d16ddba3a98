"""Tensors of a module during import: which node uses them, which are learned, and their names."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

from striate.formats.importing import Unknown
from striate.formats.tied import Sources
from striate.formats.torch.tracing import Constant
from striate.network import Network, Node
from striate.network.sharing import all_names
from striate.ops.opaque import Opaque


class Parameters:
    """The tensors of a module, and the record of nodes that use them.

    learned: parameter -> whether it requires a gradient; state: tensors by name, as in the state dict; read_by: opaque
    node -> the tensors that it was computed from.
    """

    def __init__(self, module: Any) -> None:
        self.learned: dict[str, bool] = {
            name: parameter.requires_grad
            for name, parameter in module.named_parameters(remove_duplicate=False)
        }
        self.state: dict[str, Any] = module.state_dict(keep_vars=True)
        self.names_by_layout: dict[Any, list[str]] = {}
        for name, tensor in self.state.items():
            vector = (
                tensor if tensor.ndim else tensor.reshape(1)
            )  # parameters of nodes have at least one axis
            self.names_by_layout.setdefault((_place(vector), *_layout(vector)), []).append(name)
        self.sources = Sources()
        self.pieces: dict[Any, dict[Any, int]] = collections.defaultdict(dict)
        """Tensor of the module -> parts of it, or tensors computed from it, that nodes have, with their sizes."""
        self.kinds: dict[Any, str] = {}
        self.log: list[tuple[str, Any, Any]] = []
        self.names: dict[str, str] = {}
        """Full name of a parameter -> the name of the module's tensor that it is, or was computed from."""
        self.read_by: dict[str, tuple[Constant, ...]] = {}
        self._alive: list[
            Any
        ] = []  # keeps tensors alive, so that no other tensor gets the memory that identifies them

    def record(self, full: str, constant: Constant, kind: str) -> None:
        """Record which tensor of the module a parameter is, and its kind.

        Raises Unknown for a tensor that is used in two layouts, or as two kinds of parameter.
        """
        tensor, name = constant.tensor, constant.name
        self.names[full] = name
        learned = self.learned.get(name)
        if not learned:
            (self.sources.fixed if learned is None else self.sources.frozen).add(full)
            self.log.append((full, None, None))
        if not name:
            return
        stored = self.state.get(name)
        base, key = self.identity(constant)
        pieces = self.pieces[base]
        if key not in pieces:
            # Parts of one tensor count as separate tensors, unless together they have more elements than it.
            twice = stored is not None and sum(pieces.values()) + tensor.numel() > stored.numel()
            if pieces and twice and learned is not None:
                raise Unknown(f"{name} is used in two layouts")
            pieces[key] = tensor.numel()
            self.kinds[key] = kind
            self.log.append((full, base, key))
            self._alive.append(tensor)
        else:
            if learned is not None and self.kinds[key] != kind:
                raise Unknown(f"{name} is used both as a {self.kinds[key]} and as a {kind}")
            self.log.append((full, None, None))
        self.sources.tensors[full] = key

    def identity(self, constant: Constant) -> tuple[Any, Any]:
        """The tensor of the module that a tensor is part of or was computed from, and which part."""
        tensor, stored = constant.tensor, self.state.get(constant.name)
        base = constant.name if stored is None else _place(stored)
        key: tuple[Any, ...] = (_place(tensor), *_layout(tensor))
        if (
            stored is None or key[0] != base
        ) and tensor.device.type != "meta":  # computed from a tensor of the module
            numbers = tensor.detach().to("cpu").contiguous()
            key = (base, tuple(tensor.shape), hashlib.sha256(numbers.numpy().tobytes()).digest())
        return base, key

    def forget(self, since: int) -> None:
        """Remove the records after the first `since`."""
        for name, base, key in self.log[since:]:
            self.pieces[base].pop(key, None)
            self.kinds.pop(key, None)
            self.sources.tensors.pop(name, None)
            self.names.pop(name, None)
            self.sources.fixed.discard(name)
            self.sources.frozen.discard(name)
        del self.log[since:]

    def name(self, constant: Constant, path: str) -> str:
        """The name of a tensor: the one in the module at `path`, else its first."""
        names = self.names_of(constant.tensor) or [constant.name]
        return next((name for name in names if name.rpartition(".")[0] == path), names[0])

    def names_of(self, tensor: Any) -> list[str] | None:
        """The names in the state dict of a tensor in this layout."""
        return self.names_by_layout.get((_place(tensor), *_layout(tensor)))

    def count_opaque(self, nodes: Sequence[Node]) -> list[Node]:
        """The nodes; an opaque node counts the parameters of the module that no other node has."""
        node_names = {node.name for node in nodes}
        counted_keys = {
            key for name, key in self.sources.tensors.items() if name.rpartition(".")[0] in node_names
        }
        sizes: collections.Counter[Any] = collections.Counter()
        for pieces in self.pieces.items():
            sizes[pieces[0]] += sum(size for key, size in pieces[1].items() if key in counted_keys)
        result = []
        for node in nodes:
            if isinstance(node.op, Opaque):
                count = 0
                for constant in self.read_by.get(node.name, ()):
                    base, key = self.identity(constant)
                    stored = self.state.get(constant.name)
                    if constant.name not in self.learned or key in counted_keys or stored is None:
                        continue
                    counted_keys.add(key)
                    size = min(constant.tensor.numel(), stored.numel() - sizes[base])
                    sizes[base] += size
                    count += size
                node = dataclasses.replace(node, op=dataclasses.replace(node.op, params=count))
            result.append(node)
        return result

    def unused(self, nodes: Sequence[Node]) -> list[str]:
        """The module's parameters that no node has: forward does not read them, or computes a weight from them."""
        node_names = {node.name for node in nodes}
        names = [name for full, name in self.names.items() if full.rpartition(".")[0] in node_names]
        names += [c.name for node, constants in self.read_by.items() if node in node_names for c in constants]
        used = {id(self.state[name]) for name in names if name in self.state}
        unused = {id(self.state[n]): n for n in reversed(self.learned) if id(self.state.get(n)) not in used}
        return [n for n in self.learned if unused.get(id(self.state.get(n))) == n]

    def aliases(self, net: Network) -> dict[str, str]:
        """Name in the module -> name in the network, of each parameter with different ones."""
        if net.inference.problems:
            return {}
        full = {self.sources.tensors.get(name): name for name in net.parameters}
        targets = {
            alias: full[key] for key, names in self.names_by_layout.items() if key in full for alias in names
        }
        known = all_names(net)
        if any(known.get(alias, name) != name for alias, name in targets.items()):
            return {}  # one name would mean two tensors
        different = {name for alias, name in targets.items() if name != alias}
        different |= {node.key(parameter.name) for node in net.nodes if node.shares
                      for parameter in net.declarations[node.name].parameters}  # fmt: skip
        return {alias: name for alias, name in targets.items() if name in different}


def _place(tensor: Any) -> Any:
    """The memory range of a tensor."""
    return tensor.untyped_storage()._cdata


def _layout(tensor: Any) -> tuple[Any, ...]:
    return tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride())
