"""A Striate network as a torch module, op by op, with Striate's names: its state is Striate's weights."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import torch
import torch.fx

from striate.diagnostics import OpError
from striate.engine.torch.operations import lowered
from striate.engine.torch.register import LOWERINGS, Run
from striate.network import Network, Node, sharing
from striate.op import Declaration, Trait

_Step = tuple[Run, tuple[str, ...], tuple[str, ...], dict[str, tuple[Any, str]], dict[str, str]]
"""What it computes, the values it reads and makes; by name of a parameter: the module that holds it and its name there,
and its path."""


COUNTER = "num_batches_tracked"
"""A buffer of torch's batch normalization: the batches it was trained on. Nothing is computed from it."""


class Lowered(torch.nn.Module):  # type: ignore[misc]
    """The network's nodes in order. Batch axis: any size. Several outputs give a tuple.

    Its state dict has the keys of the module that the names are from: torchvision's load into it, and it into theirs.
    """

    def __init__(self, net: Network) -> None:
        super().__init__()
        self._sources, self._outputs = list(net.inputs), list(net.outputs)
        self.names = sharing.file_names(net)
        tensors: dict[str, Any] = {}
        self.held: dict[str, str] = {}
        for name, full in self.names.items():
            path, _, own = name.rpartition(".")
            parameter = net.parameters[full]
            self.held.setdefault(full, name)
            learned = parameter.trainable or parameter.frozen
            if full not in tensors:
                start = torch.zeros(parameter.shape)
                tensors[full] = torch.nn.Parameter(start, parameter.trainable) if learned else start
            register = "register_parameter" if learned else "register_buffer"
            getattr(self._place(path), register)(own, tensors[full])
        self._norms = [
            sharing.owner(node, "running_mean") for node in net.nodes if Trait.WHOLE_BATCH in node.op.traits
        ]
        for name in dict.fromkeys(self._norms):
            self._place(name).register_buffer(COUNTER, torch.tensor(0))
        self._register_load_state_dict_pre_hook(self._counted)
        self._paths = [node.name for node in net.nodes]
        self._last_use = {value: k for k, node in enumerate(net.nodes) for value in node.inputs}
        self._steps = [self._step(node, net.declarations[node.name]) for node in net.nodes]

    def _place(self, path: str) -> Any:
        """The module at a dotted path, made where it is missing."""
        place: Any = self
        for name in path.split(".") if path else ():
            if name not in place._modules:
                try:
                    place.add_module(name, torch.nn.Module())
                except KeyError as error:  # train, forward, …: words of torch.nn.Module itself
                    raise OpError(
                        f"PyTorch has no place for a module called {path!r}",
                        why=str(error.args[0]),
                        fix="rename the node",
                    ) from None
            place = place._modules[name]
        return place

    def _counted(self, state: Any, prefix: str, *_rest: Any) -> None:
        """Counters may be missing, as in weights that Striate wrote."""
        for name in self._norms:
            state.setdefault(f"{prefix}{name}.{COUNTER}", getattr(self._place(name), COUNTER))

    def _step(self, node: Node, declaration: Declaration) -> _Step:
        if node.op.word not in LOWERINGS:
            raise OpError(f"{node.op.word} has no counterpart in torch here").at(
                node.name, f"{node.name} = {node.op}", node.place
            )
        paths = {parameter.name: self.held[node.key(parameter.name)] for parameter in declaration.parameters}
        held = {
            name: (self._place(path), own)
            for name, (path, _, own) in ((n, full.rpartition(".")) for n, full in paths.items())
        }
        return lowered(node.op, declaration), node.inputs, node.outputs, held, paths

    def steps(self) -> Iterator[tuple[Run, tuple[str, ...], tuple[str, ...], dict[str, str]]]:
        """What each node computes, reads and makes, and the dotted paths of its parameters."""
        for run, reads, makes, _, paths in self._steps:
            yield run, reads, makes, paths

    def forward(self, *inputs: Any, **named: Any) -> Any:
        if self.training:
            for name in self._norms:
                getattr(self._place(name), COUNTER).add_(1)
        values = self.values(dict(zip(self._sources, inputs)) | named, self._outputs)
        found = tuple(values[name] for name in self._outputs)
        return found[0] if len(found) == 1 else found

    def values(
        self, given: dict[str, Any], wanted: Collection[str], done: Callable[[str], None] = lambda node: None
    ) -> dict[str, Any]:
        """The wanted values for these inputs. Values that are not read any more are dropped; `done` is called per
        node."""
        values, open_names = dict(given), set(wanted) - given.keys()
        for at, (run, reads, makes, held, _) in enumerate(self._steps):
            if not open_names:
                break
            own = {name: getattr(place, attribute) for name, (place, attribute) in held.items()}
            made = run(self.training, [values[name] for name in reads], own)
            values.update(zip(makes, made if len(makes) > 1 else (made,)))
            open_names.difference_update(makes)
            for name in set(reads):
                if self._last_use[name] == at and name not in wanted:
                    del values[name]
            done(self._paths[at])
        return values


def flat(module: Lowered) -> Any:
    """The module for inference as a straight line of calls: nothing is looked up while it runs. Weights are shared."""
    graph = torch.fx.Graph()
    tracer = torch.fx.proxy.GraphAppendingTracer(graph)
    several = len(module._sources) > 1
    values = {
        name: torch.fx.Proxy(graph.placeholder(f"x{k}" if several else "x"), tracer)
        for k, name in enumerate(module._sources)
    }
    for run, reads, makes, own in module.steps():
        given = {name: torch.fx.Proxy(graph.get_attr(path), tracer) for name, path in own.items()}
        made = run(False, [values[name] for name in reads], given)
        values.update((name, made[k] if len(makes) > 1 else made) for k, name in enumerate(makes))
    found = tuple(values[name].node for name in module._outputs)
    graph.output(found[0] if len(found) == 1 else found)
    return torch.fx.GraphModule(module, graph).eval()


def lower(net: Network, weights: Mapping[str, Any]) -> Lowered:
    """The network as a module in evaluation mode, with a copy of these weights (name -> array) in their type.

    Raises OpError where torch has no counterpart.
    """
    module = Lowered(net)
    state = {name: torch.tensor(weights[full]) for name, full in module.names.items()}
    if state:
        module = module.to(next(iter(state.values())).dtype)
    module.load_state_dict(state)
    module.eval()
    return module
