"""What each tool draws, at its best settings: `drawers.py TOOL MODEL FILE` is a whole process that draws once.

`drawers.py TOOL --serve FILE` stays and is timed: modules are ready, Striate builds its network anew each time.
Imports are inside, so that a process loads only the tool it was started for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tools import IMAGE, Answer, _module, forget, serve

Draw = Callable[[], Answer]
TOOLS: dict[str, Callable[[str, str], Draw]] = {}


def tool(prepare: Callable[[str, str], Draw]) -> Callable[[str, str], Draw]:
    """Make a function callable from outside under its name."""
    TOOLS[prepare.__name__] = prepare
    return prepare


def _striate(kind: str) -> Callable[[str, str], Draw]:
    def prepare(name: str, file: str) -> Draw:
        import striate as st

        def go() -> Answer:
            forget()
            st.draw(st.create(name), kind=kind).save(file)
            return {"bytes": Path(file).stat().st_size}

        return go

    return prepare


TOOLS |= {f"striate_{kind}": _striate(kind) for kind in ("graph", "blocks")}


@tool
def torchview(name: str, file: str) -> Draw:
    """Every module a box with its shapes, laid out by Graphviz. On the meta device nothing is computed."""
    from torchview import draw_graph

    module = _module(name)

    def go() -> Answer:
        graph = draw_graph(module, input_size=(1, *IMAGE), device="meta", roll=True).visual_graph
        Path(file).write_bytes(graph.pipe(Path(file).suffix[1:]))
        return {"bytes": Path(file).stat().st_size}

    return go


def _visualtorch(style: str) -> Callable[[str, str], Draw]:
    def prepare(name: str, file: str) -> Draw:
        """visualtorch runs the module once, so it has weights here; it draws images only, without shapes."""
        import visualtorch as library

        module = _module(name, "cpu")
        options = {"type_ignore": []} if style == "flow" else {"show_neurons": False}

        def go() -> Answer:
            library.render(module, (1, *IMAGE), style=style, to_file=file, **options)
            return {"bytes": Path(file).stat().st_size}

        return go

    return prepare


TOOLS |= {f"visualtorch_{style}": _visualtorch(style) for style in ("flow", "graph")}


# ---------------------------------------------------------------- graphs of any size
def branched(nodes: int) -> object:
    """Blocks of three branches and a sum, no two convolutions with equal filters: about so many nodes."""
    import striate as st
    from striate.ops import Add, Conv, Relu

    forget()
    build = st.Builder(f"{nodes} nodes", input=(16, 32, 32))
    x = build.input
    for k in range(nodes // 8):
        left = build(Relu(), build(Conv(8 + k, kernel=3, padding=1), x))
        right = build(Conv(16, kernel=1), build(Relu(), build(Conv(9 + k, kernel=1), x)))
        x = build(Relu(), build(Add(), build(Conv(16, kernel=1), left), right))
    return build.build(x)


def _branched(kind: str) -> Callable[[str, str], Draw]:
    def prepare(nodes: str, file: str) -> Draw:
        import striate as st

        def go() -> Answer:
            st.draw(branched(int(nodes)), kind=kind, fold=False).save(file)
            return {"bytes": Path(file).stat().st_size}

        return go

    return prepare


TOOLS |= {f"branched_{kind}": _branched(kind) for kind in ("graph", "blocks")}


if __name__ == "__main__":
    _, chosen, model, target = sys.argv
    if model == "--serve":
        serve(lambda name: TOOLS[chosen](name, target))
    else:
        print(TOOLS[chosen](model, target)()["bytes"])
