"""The generic loop nest: any statement, one function, sizes and strides as constants.

    for row: for the other free variables:
        total = 0 (or -∞)
        for the reduced variables: total ⊕= value
        target[index] = start ⊕ total

One variable is split into strips of up to `width` neighbors, the lanes of vectors; the remainder is one narrower strip
with the same code. A free variable's lanes are neighboring numbers of the target, a reduced one's are partial sums.
Sums are kept in float64: in float32 a hundred thousand terms of one sign lose three digits. Loads of neighboring
numbers of which some lie outside are masked; lanes that are not neighbors are loaded one by one.

`plan/nest.py` makes the nest; `nest_spec.py` says what it consists of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from striate.engine.codegen import ir
from striate.engine.codegen.emit import Code
from striate.engine.codegen.values import Int, Pointer, Variable
from striate.engine.kernels import expression
from striate.engine.kernels.functions import Functions
from striate.engine.kernels.nest_spec import Access, AffineAxis, NestSpec, TableAxis, parse
from striate.engine.target import Target

Axis = AffineAxis[int] | TableAxis[int]
Env = Mapping[int, Int]
"""Loop variable -> its current value; for the vectorized one, the value of lane 0."""


def emit(target: Target, text: str) -> str:
    """kernel(arguments, row, end_row, part, end_part, scratch); arguments: addresses of tensors, then of tables."""
    spec = parse(text)
    code = Code(target, "piiiip", lanes=spec.width)
    row, end_row = code.arguments[1:3]
    nest = _Nest(code, spec)
    with code.loop(row, end_row) as r:
        env, rest = {}, r
        for k in reversed(range(spec.rows)):
            extent = spec.loops[k]
            if k == spec.vector:
                extent = -(-extent // spec.width)
            env[k] = rest % extent if k else rest
            rest = rest // extent if k else rest
        nest.free_loops(0, env, 1)
    return code.finish()


class _Nest:
    """The loops, arithmetic and memory accesses of one nest."""

    def __init__(self, code: Code, spec: NestSpec) -> None:
        self.code, self.spec = code, spec
        self.extents, self.count, self.vector = spec.loops, spec.free, spec.vector
        self.room = code.buffer((spec.width + 1) // 2)
        self.pointers: dict[int, Pointer] = {}
        accesses = [spec.target, *spec.reads, *spec.starts]
        slots = {access.slot for access in accesses} | {let.table for let in spec.lets}
        slots |= {axis.table for access in accesses for axis in access.axes if isinstance(axis, TableAxis)}
        for slot in sorted(slots):
            self.pointers[slot] = code.arguments[0].pointer(8 * slot)

    # loops

    def strips(self, k: int) -> tuple[int, int]:
        """Full strips of a variable, and the width of the rest."""
        return divmod(self.extents[k], self.spec.width)

    def free_loops(self, k: int, env: Env, width: int) -> None:
        """Loops over the free variables from number k on."""
        code, full = self.code, self.spec.width
        if k == self.count:
            with code.wide(width):
                self.point(env)
            return
        is_row = k < self.spec.rows
        if k != self.vector:
            if is_row:
                self.free_loops(k + 1, env, width)
            else:
                with code.loop(0, self.extents[k]) as i:
                    self.free_loops(k + 1, {**env, k: i}, width)
            return
        strips, rest = self.strips(k)
        if is_row:
            here = {**env, k: env[k] * full}
            if not rest or not strips:
                self.free_loops(k + 1, here, full if strips else rest)
                return
            with code.choice(env[k] < strips) as (then, otherwise):
                with then:
                    self.free_loops(k + 1, here, full)
                with otherwise:
                    self.free_loops(k + 1, here, rest)
            return
        if strips:
            with code.loop(0, strips) as i:
                self.free_loops(k + 1, {**env, k: i * full}, full)
        if rest:
            self.free_loops(k + 1, {**env, k: code.int(strips * full)}, rest)

    def point(self, env: Env) -> None:
        """One number of the target, or one vector of them."""
        code, spec = self.code, self.spec
        if not spec.reduce:
            self.store(self.value(spec.value, spec.reads, env), env)
            return
        widths = self.parts() if self.vector >= self.count else [code.lanes]
        totals = {}
        for lanes in widths:
            with code.wide(lanes):
                totals[lanes] = code.variable(self.neutral())
        self.reduced_loops(self.count, env, totals)
        if self.vector >= self.count:
            total = self.neutral()
            for lanes in widths:
                total = self.combine(total, self.combine_lanes(totals[lanes].get(), lanes))
        else:
            total = totals[code.lanes].get()
        if spec.start:
            total = self.accumulate(total, self.value(spec.start, spec.starts, env))
        if spec.reduce == "sum":
            total = code.builder.fptrunc(total, code.vector)
        self.store(total, env)

    def parts(self) -> list[int]:
        """Widths of the strips of the vectorized variable."""
        strips, rest = self.strips(self.vector)
        return [self.spec.width] * bool(strips) + [rest] * bool(rest)

    def reduced_loops(self, k: int, env: Env, totals: Mapping[int, Variable]) -> None:
        """Loops over the reduced variables from number k on; totals: by number of lanes."""
        code = self.code
        if k == len(self.extents):
            total = totals[code.lanes]
            total.set(self.accumulate(total.get(), self.value(self.spec.value, self.spec.reads, env)))
        elif k != self.vector:
            with code.loop(0, self.extents[k]) as i:
                self.reduced_loops(k + 1, {**env, k: i}, totals)
        else:
            full = self.spec.width
            strips, rest = self.strips(k)
            if strips:
                with code.wide(full), code.loop(0, strips) as i:
                    self.reduced_loops(k + 1, {**env, k: i * full}, totals)
            if rest:
                with code.wide(rest):
                    self.reduced_loops(k + 1, {**env, k: code.int(strips * full)}, totals)

    # arithmetic

    def double(self) -> Any:
        return ir.VectorType(ir.F64, self.code.lanes)

    def neutral(self) -> Any:
        """Initial value of a reduction."""
        if self.spec.reduce == "max":
            return self.code.broadcast(float("-inf"))
        return ir.Constant(self.double(), [0.0] * self.code.lanes)

    def accumulate(self, total: Any, value: Any) -> Any:
        """total ⊕ value"""
        wide = value if self.spec.reduce == "max" else self.code.builder.fpext(value, self.double())
        return self.combine(total, wide)

    def combine(self, a: Any, b: Any) -> Any:
        """a ⊕ b for totals of any number of lanes."""
        return Functions(self.code).max(a, b) if self.spec.reduce == "max" else self.code.builder.fadd(a, b)

    def combine_lanes(self, vector: Any, lanes: int) -> Any:
        """Combine all lanes of a total into one, halves first."""
        code, rest = self.code, []
        while lanes > 1:
            if lanes % 2:
                rest.append(code.lanes_of(vector, [lanes - 1]))
            lanes //= 2
            low, high = code.lanes_of(vector, range(lanes)), code.lanes_of(vector, range(lanes, 2 * lanes))
            vector = self.combine(low, high)
        for one in rest:
            vector = self.combine(vector, one)
        return vector

    def value(self, text: str, reads: Sequence[Access[int]], env: Env) -> Any:
        """An expression over its loads."""
        return expression.vector(self.code, text, [self.load(read, env) for read in reads])

    # memory

    def variable(self, name: int, env: Env) -> Int:
        """A loop variable, or one that a table defines; name -1 is 0."""
        if name < 0:
            return self.code.int(0)
        if name < len(self.extents):
            return env[name]
        let = self.spec.lets[name - len(self.extents)]
        at: Int = self.variable(let.position, env) * let.slots + self.variable(let.slot, env)
        value: Int = (self.pointers[let.table] + at * 4).short()
        return value

    def place(self, axes: Sequence[Axis], env: Env) -> tuple[Int, Any]:
        """Bytes from a tensor's first number, and the condition that the number is inside (None: always)."""
        code = self.code
        offset, inside = code.int(0), None
        for axis in axes:
            real = None
            if isinstance(axis, TableAxis):
                entry = self.variable(axis.out, env) * axis.taps + self.variable(axis.tap, env)
                at = (self.pointers[axis.table] + entry * 4).short()
                offset = offset + at * 4
                if axis.tested:
                    real = at >= 0
            else:
                at, lanes = self.position(axis, env), axis.lanes
                offset = offset + (at // lanes * axis.block + at % lanes * 4 if lanes else at * axis.step)
                if axis.tested:
                    real = code.builder.icmp_unsigned("<", at.value, code.int(axis.limit).value)
            if real is not None:
                inside = real if inside is None else code.builder.and_(inside, real)
        return offset, inside

    def position(self, axis: AffineAxis[int], env: Env) -> Int:
        """The index along an affine axis."""
        at: Int = self.code.int(axis.offset)
        for name, factor in axis.terms:
            at = at + self.variable(name, env) * factor
        at = at // axis.divisor if axis.divisor != 1 else at
        return at % axis.modulus if axis.modulus else at

    def number(self, access: Access[int], env: Env) -> Any:
        """One float32."""
        code = self.code
        offset, inside = self.place(access.axes, env)
        base = self.pointers[access.slot]
        if inside is None:
            return base.number(offset)
        value = base.number(code.select(inside, offset, code.int(0)))
        return code.select(inside, value, code.number(access.outside))

    def for_lane(self, env: Env, lane: Int | int) -> Env:
        """The variables of another lane."""
        return {**env, self.vector: env[self.vector] + lane}

    def load(self, access: Access[int], env: Env) -> Any:
        """A vector of the numbers that the lanes read."""
        code, axes, stride, has_test = self.code, access.axes, access.stride, access.tested
        if code.lanes == 1 or stride == 0:
            return code.broadcast(self.number(access, env))
        if stride < 0:
            return self.load_lanes(access, env)
        offset, inside = self.place(axes, env)
        at = self.pointers[access.slot] + offset
        if has_test and stride == 4:
            return self.load_masked(at, axes, env, float(access.outside))
        if inside is None:
            return self.load_strided(at, stride)
        result = code.variable(code.broadcast(float(access.outside)))
        if has_test:
            inside = code.builder.and_(inside, self.place(axes, self.for_lane(env, code.lanes - 1))[1])
        with code.choice(inside) as (then, otherwise):
            with then:
                result.set(self.load_strided(at, stride))
            with otherwise:
                if has_test:
                    result.set(self.load_lanes(access, env))
        return result.get()

    def load_masked(self, at: Pointer, axes: Sequence[Axis], env: Env, outside: float) -> Any:
        """Masked load of neighboring numbers: those outside are not touched."""
        code, build, kind = self.code, self.code.builder, ir.VectorType(ir.I32, self.code.lanes)
        mask = ir.Constant(ir.VectorType(ir.IntType(1), code.lanes), [True] * code.lanes)
        for axis in axes:
            if not axis.tested:
                continue
            if isinstance(axis, TableAxis) or self.vector not in axis.variables:
                _, real = self.place([axis], env)
                lanes = self.broadcast(real, ir.IntType(1))
            else:
                first = self.broadcast(build.trunc(self.position(axis, env).value, ir.I32), ir.I32)
                here = build.add(first, ir.Constant(kind, list(range(code.lanes))))
                lanes = build.icmp_unsigned("<", here, ir.Constant(kind, [axis.limit] * code.lanes))
            mask = build.and_(mask, lanes)
        name = f"llvm.masked.load.v{code.lanes}f32.p0"
        function = code.module.globals.get(name)
        if function is None:
            kinds = [ir.PTR, ir.I32, mask.type, code.vector]
            function = ir.Function(code.module, ir.FunctionType(code.vector, kinds), name)
        return build.call(function, [at.value, ir.Constant(ir.I32, 4), mask, code.broadcast(outside)])

    def broadcast(self, value: Any, kind: Any) -> Any:
        """A value in all lanes."""
        lanes, build = self.code.lanes, self.code.builder
        undefined = ir.Constant(ir.VectorType(kind, lanes), ir.Undefined)
        first = build.insert_element(undefined, value, ir.Constant(ir.I32, 0))
        return build.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.I32, lanes), [0] * lanes))

    def load_strided(self, at: Pointer, stride: int) -> Any:
        """A vector of numbers `stride` bytes apart."""
        code = self.code
        if stride == 4:
            return at.vector()
        result = ir.Constant(code.vector, ir.Undefined)
        for lane in range(code.lanes):
            result = code.insert(result, at.number(lane * stride), lane)
        return result

    def load_lanes(self, access: Access[int], env: Env) -> Any:
        """Lane by lane through memory."""
        code = self.code
        with code.loop(0, code.lanes) as lane:
            (self.room + lane * 4).store(self.number(access, self.for_lane(env, lane)))
        return self.room.vector()

    def store(self, value: Any, env: Env) -> None:
        """Write the lanes to the target."""
        code, target = self.code, self.spec.target
        axes, stride, base = target.axes, target.stride, self.pointers[target.slot]
        if code.lanes == 1 or stride == 4:
            offset, inside = self.place(axes, env)
            assert inside is None, "targets are written inside their borders"
            (base + offset).store(value)
            end = env if code.lanes == 1 else self.for_lane(env, code.lanes - 1)
            self.fill(base + (offset + 4 * (code.lanes - 1)), end)
            return
        for lane in range(code.lanes):
            here = self.for_lane(env, lane)
            to = base + self.place(axes, here)[0]
            to.store(code.builder.extract_element(value, ir.Constant(ir.I32, lane)))
            self.fill(to, here)

    def fill(self, at: Pointer, env: Env) -> None:
        """Write zeros after the last channel, up to the end of its block."""
        if not self.spec.fill:
            return
        channels, lanes = self.spec.fill
        split = [axis for axis in self.spec.target.axes if isinstance(axis, AffineAxis) and axis.lanes]
        last = self.position(split[0], env) if split else self.code.int(0)
        with self.code.when(last.equals(channels - 1)), self.code.wide(lanes - channels % lanes):
            at.store(self.code.broadcast(0.0), 4)
