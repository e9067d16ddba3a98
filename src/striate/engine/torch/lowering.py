"""A Striate network as a torch module, op by op, with Striate's names: its state is Striate's weights."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import torch
import torch.fx

from striate.diagnostics import OpError
from striate.engine.torch.operations import lower_op
from striate.engine.torch.register import LOWERINGS, Run
from striate.network import Network, Node, sharing
from striate.op import Declaration, Trait

_Step = tuple[Run, tuple[str, ...], tuple[str, ...], dict[str, tuple[Any, str]], dict[str, str]]
"""The function, the values that it reads and computes; by name of a parameter: the module and attribute that hold it,
and its path."""


COUNTER = "num_batches_tracked"
"""A buffer of torch's batch normalization: the batches it was trained on. Nothing is computed from it."""


class Lowered(torch.nn.Module):  # type: ignore[misc]
    """The network's nodes in order. Batch axis: any size. Several outputs give a tuple.

    Its state dict has the keys of the module that the names come from, so that torchvision's weights load into it and
    back.
    """

    def __init__(self, net: Network) -> None:
        super().__init__()
        self._sources, self._outputs = list(net.inputs), list(net.outputs)
        self.names = sharing.file_names(net)
        tensors: dict[str, Any] = {}
        self.first_names: dict[str, str] = {}
        for name, full in self.names.items():
            path, _, attribute = name.rpartition(".")
            parameter = net.parameters[full]
            self.first_names.setdefault(full, name)
            learned = parameter.trainable or parameter.frozen
            if full not in tensors:
                start = torch.zeros(parameter.shape)
                tensors[full] = torch.nn.Parameter(start, parameter.trainable) if learned else start
            register = "register_parameter" if learned else "register_buffer"
            getattr(self._place(path), register)(attribute, tensors[full])
        self._norms = [
            sharing.owner(node, "running_mean") for node in net.nodes if Trait.WHOLE_BATCH in node.op.traits
        ]
        for name in dict.fromkeys(self._norms):
            self._place(name).register_buffer(COUNTER, torch.tensor(0))
        self._register_load_state_dict_pre_hook(self._add_counters)
        self._paths = [node.name for node in net.nodes]
        self._last_use = {value: k for k, node in enumerate(net.nodes) for value in node.inputs}
        self._steps = [self._step(node, net.declarations[node.name]) for node in net.nodes]

    def _place(self, path: str) -> Any:
        """The module at a dotted path, created if missing."""
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

    def _add_counters(self, state: Any, prefix: str, *_rest: Any) -> None:
        """Add missing counters: weights that Striate wrote have none."""
        for name in self._norms:
            state.setdefault(f"{prefix}{name}.{COUNTER}", getattr(self._place(name), COUNTER))

    def _step(self, node: Node, declaration: Declaration) -> _Step:
        if node.op.word not in LOWERINGS:
            raise OpError(f"{node.op.word} has no counterpart in torch here").at(
                node.name, f"{node.name} = {node.op}", node.place
            )
        paths = {
            parameter.name: self.first_names[node.key(parameter.name)] for parameter in declaration.parameters
        }
        places = {
            name: (self._place(path), attribute)
            for name, (path, _, attribute) in ((n, full.rpartition(".")) for n, full in paths.items())
        }
        return lower_op(node.op, declaration), node.inputs, node.outputs, places, paths

    def steps(self) -> Iterator[tuple[Run, tuple[str, ...], tuple[str, ...], dict[str, str]]]:
        """Each node's function, inputs and outputs, and the dotted paths of its parameters."""
        for run, reads, makes, _, paths in self._steps:
            yield run, reads, makes, paths

    def forward(self, *inputs: Any, **by_name: Any) -> Any:
        if self.training:
            for name in self._norms:
                getattr(self._place(name), COUNTER).add_(1)
        values = self.values(dict(zip(self._sources, inputs)) | by_name, self._outputs)
        outputs = tuple(values[name] for name in self._outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def values(
        self,
        inputs: dict[str, Any],
        names: Collection[str],
        on_node: Callable[[str], None] = lambda node: None,
    ) -> dict[str, Any]:
        """The named values for these inputs. Values without further readers are dropped; `on_node` is called after each
        node."""
        values, open_names = dict(inputs), set(names) - inputs.keys()
        for at, (run, reads, makes, places, _) in enumerate(self._steps):
            if not open_names:
                break
            parameters = {name: getattr(place, attribute) for name, (place, attribute) in places.items()}
            result = run(self.training, [values[name] for name in reads], parameters)
            values.update(zip(makes, result if len(makes) > 1 else (result,)))
            open_names.difference_update(makes)
            for name in set(reads):
                if self._last_use[name] == at and name not in names:
                    del values[name]
            on_node(self._paths[at])
        return values


def straight_line(module: Lowered) -> Any:
    """The module for inference as a straight line of calls, without lookups while it runs. Weights are shared."""
    graph = torch.fx.Graph()
    tracer = torch.fx.proxy.GraphAppendingTracer(graph)
    several = len(module._sources) > 1
    values = {
        name: torch.fx.Proxy(graph.placeholder(f"x{k}" if several else "x"), tracer)
        for k, name in enumerate(module._sources)
    }
    for run, reads, makes, paths in module.steps():
        parameters = {name: torch.fx.Proxy(graph.get_attr(path), tracer) for name, path in paths.items()}
        result = run(False, [values[name] for name in reads], parameters)
        values.update((name, result[k] if len(makes) > 1 else result) for k, name in enumerate(makes))
    outputs = tuple(values[name].node for name in module._outputs)
    graph.output(outputs[0] if len(outputs) == 1 else outputs)
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
