"""Declarations with one fault in them: what the proof lets through, counting one index after the other lets through.

An op's own declaration has to pass. A changed one that passes stays inside its tensors and writes each number once; one
that is refused does not (but for a modulus, of which only the largest remainder is known).
"""

import dataclasses
import itertools
import random


def describe(seed: int) -> str:
    found = _drawn(seed)
    return "nothing that suits" if found is None else f"{found[1].op} on {found[1].inputs}: {found[2]}"


def _drawn(seed: int):
    """A right declaration, the same with a fault, and what was done to it."""
    from op_cases import RUNNABLE
    from op_draws import drawn

    rng = random.Random(seed)
    found = drawn(rng, RUNNABLE[seed % len(RUNNABLE)], batch=rng.choice([1, 2, 2, 3]))
    if found is None:
        return None
    op, specs = found
    declaration = op.declare(*specs)
    at = rng.randrange(len(declaration.statements))
    statement, said = changed(rng, declaration.statements[at])
    statements = (*declaration.statements[:at], statement, *declaration.statements[at + 1 :])
    return declaration, dataclasses.replace(declaration, statements=statements), said


def changed(rng, statement):
    """A statement with one of its indices, ranges or tensors changed."""
    from striate.statement import Affine, Call, Domain, Load, Tap

    def index(items):
        items = list(items)
        if not items or not rng.randrange(12):
            return tuple([*items, Affine(())] if rng.randrange(2) else items[:-1])
        at = rng.randrange(len(items))
        if len(items) > 1 and not rng.randrange(4):
            items[at - 1], items[at] = items[at], items[at - 1]
            return tuple(items)
        items[at] = one(items[at])
        return tuple(items)

    def one(item):
        if isinstance(item, Tap):
            size = max(item.map.input + rng.choice([-1, 1]), 1)
            return dataclasses.replace(item, map=dataclasses.replace(item.map, input=size))
        match rng.randrange(4):
            case 0:
                return dataclasses.replace(item, offset=item.offset + rng.choice([-2, -1, 1, 2]))
            case 1 if item.terms:
                at = rng.randrange(len(item.terms))
                name, factor = item.terms[at]
                terms = (*item.terms[:at], (name, factor + rng.choice([-2, -1, 1, 2])), *item.terms[at + 1 :])
                return dataclasses.replace(item, terms=terms)
            case 2:
                return dataclasses.replace(item, divisor=max(item.divisor + rng.choice([-1, 1]), 1))
        return dataclasses.replace(item, modulus=max(item.modulus + rng.choice([-1, 1]), 0))

    def expression(expr, at):
        """The expression with its load number `at` changed, and how many loads it has."""
        if isinstance(expr, Load):
            if at:
                return expr, 1
            if not rng.randrange(10):
                return dataclasses.replace(expr, tensor=rng.choice(["t7", "x3", "weight"])), 1
            return dataclasses.replace(expr, index=index(expr.index)), 1
        if not isinstance(expr, Call):
            return expr, 0
        args, seen = [], 0
        for arg in expr.args:
            arg, count = expression(arg, at - seen)
            args.append(arg)
            seen += count
        return dataclasses.replace(expr, args=tuple(args)), seen

    match rng.randrange(4):
        case 0:
            return dataclasses.replace(statement, index=index(statement.index)), "target"
        case 1:
            free, reduced = dict(statement.domain.free), dict(statement.domain.reduced)
            ranges = reduced if reduced and rng.randrange(2) else free
            name = rng.choice([*ranges])
            ranges[name] = max(ranges[name] + rng.choice([-1, 1]), 1)
            return dataclasses.replace(statement, domain=Domain(free, reduced)), f"range of {name}"
    _, loads = expression(statement.value, -1)
    value, _ = expression(statement.value, rng.randrange(max(loads, 1)))
    return dataclasses.replace(statement, value=value), "load"


def counted(declaration):
    """What is wrong with a declaration, by going through every index; empty where nothing is. Knows no interval."""
    import numpy as np

    shapes = {f"x{k}": x.shape for k, x in enumerate(declaration.inputs)}
    shapes |= {p.name: p.shape for p in declaration.parameters} | {n.name: n.shape for n in declaration.noise}
    outputs = {f"y{k}": y.shape for k, y in enumerate(declaration.outputs)}
    written = {}
    for statement in declaration.statements:
        sizes = {**statement.domain.free, **statement.domain.reduced}
        for load in statement.loads:
            if load.tensor not in shapes:
                return f"no tensor {load.tensor}"
            said = _outside(load.index, shapes[load.tensor], sizes)
            if said:
                return f"{load.tensor}: {said}"
        shape = outputs.get(statement.target) or shapes.get(statement.target)
        if shape is None:
            shape = tuple(
                item.map.input if hasattr(item, "map") else max(_values(item, sizes), default=0) + 1
                for item in statement.index
            )
        said = _outside(statement.index, shape, sizes)
        if said:
            return f"{statement.target}: {said}"
        shapes[statement.target] = shape
        if not any(hasattr(item, "map") for item in statement.index):
            count = written.setdefault(statement.target, np.zeros(shape, int))
            grids = dict(zip(statement.domain.free, np.indices(tuple(statement.domain.free.values()))))
            if any(v in statement.domain.reduced for item in statement.index for v, _ in item.terms):
                return "written at what is reduced"
            places = [
                np.broadcast_to(_place(item, grids), next(iter(grids.values())).shape)
                for item in statement.index
            ]
            np.add.at(count, tuple(places), 1)
    holes = [name for name, count in written.items() if (count != 1).any()]
    return f"{holes[0]} is not written once" if holes else ""


def _place(item, at):
    total = item.offset
    for name, factor in item.terms:
        total = total + at[name] * factor
    total = total // item.divisor
    return total % item.modulus if item.modulus else total


def _values(item, sizes):
    """Every position of an index: of a map those that lie on its axis."""
    if hasattr(item, "map"):
        outs, taps = range(sizes[item.out]), range(sizes[item.tap] if item.tap else 1)
        return [x for i in outs for u in taps if (x := item.map.position(i, u)) is not None]
    names = [name for name, _ in item.terms]
    return [_place(item, dict(zip(names, at))) for at in itertools.product(*(range(sizes[v]) for v in names))]


def _outside(index, shape, sizes) -> str:
    if len(index) != len(shape):
        return f"{len(index)} indices for {len(shape)} axes"
    for item, size in zip(index, shape, strict=True):
        tap = hasattr(item, "map")
        if tap and (
            item.map.input != size or item.map.taps != (sizes[item.tap] if item.tap else item.map.taps)
        ):
            return "a map of another axis"
        if tap and sizes[item.out] > item.map.output:
            return "more outputs than the map has"
        values = _values(item, sizes)
        if values and not 0 <= min(values) <= max(values) < size:
            return f"{min(values)} to {max(values)} of {size}"
    return ""


def trial(seed: int) -> str | None:
    from striate.diagnostics import OpError
    from striate.op.bounds import verify

    found = _drawn(seed)
    if found is None:
        return None
    right, wrong, _ = found
    several = right.inputs[0].shape[0] > 1  # batch norm does not train on one image
    none = right.op.declare(*(dataclasses.replace(x, shape=(0, *x.shape[1:])) for x in right.inputs))
    for training in (right, none, right.op.declare_training(*right.inputs)) if several else (right, none):
        try:
            verify(training)
        except OpError as error:
            return f"{right.op} on {right.inputs} is refused: {error.what}; {error.why}"
    fault = counted(wrong)
    try:
        verify(wrong)
    except OpError as error:
        if not error.why or not error.fix:
            return f"refused without reason or fix: {error}"
        if not fault and not _unknown(wrong):
            return f"refused though nothing is wrong, {error.what}; {error.why}: {describe(seed)}"
        return None
    return f"let through, {fault}: {describe(seed)}" if fault else None


def _unknown(declaration) -> bool:
    """Whether a remainder is taken, whose largest value may not occur, or a map's loops are not the map's own."""
    items = [item for s in declaration.statements for access in (s, *s.loads) for item in access.index]
    return any(hasattr(item, "map") or item.modulus for item in items)
