"""A thin typed layer over llvmlite: one function under construction, and its text.

A template reads like the loops it stands for; vectors are plain LLVM values. Variables are stack slots that the
optimizer turns into registers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from striate.engine.codegen import ir
from striate.engine.codegen.values import Int, Pointer, Size, Variable
from striate.engine.target import Target


class Code:
    """One function `kernel` under construction. parameters: "p" a pointer, "i" an integer, one letter each."""

    def __init__(
        self, target: Target, parameters: str, name: str = "kernel", lanes: int | None = None
    ) -> None:
        self.target = target
        self.lanes = lanes or target.lanes
        self.vector = ir.VectorType(ir.F32, self.lanes)
        self.bytes = 4 * self.lanes
        self.module = ir.Module(name)
        self.module.triple = target.triple
        kinds = {"p": ir.PTR, "i": ir.I64}
        signature = ir.FunctionType(ir.VOID, [kinds[letter] for letter in parameters])
        self.function = ir.Function(self.module, signature, name)
        for argument in self.function.args:
            if isinstance(argument.type, ir.PointerType):
                argument.add_attribute("noalias")
        self.function.attributes.add("nounwind")
        # No loop becomes a call of memset or memcpy: object code refers to nothing outside itself.
        set.add(self.function.attributes, '"no-builtins"')  # a name that llvmlite's own check does not know
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        wrap: dict[str, Any] = {"p": Pointer, "i": Int}
        self.arguments: list[Any] = [
            wrap[letter](self, argument) for letter, argument in zip(parameters, self.function.args)
        ]

    @contextlib.contextmanager
    def wide(self, lanes: int) -> Iterator[None]:
        """Inside, vectors have `lanes` lanes."""
        before = self.lanes
        self.lanes, self.vector, self.bytes = lanes, ir.VectorType(ir.F32, lanes), 4 * lanes
        yield
        self.lanes, self.vector, self.bytes = before, ir.VectorType(ir.F32, before), 4 * before

    # values

    def int(self, value: Size) -> Int:
        return value if isinstance(value, Int) else Int(self, ir.Constant(ir.I64, value))

    def number(self, value: float) -> Any:
        return ir.Constant(ir.F32, float(value))

    def broadcast(self, number: Any) -> Any:
        """A number, given as float or as value, in every lane."""
        if isinstance(number, int | float):
            return ir.Constant(self.vector, [float(number)] * self.lanes)
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, number, ir.Constant(ir.I32, 0))
        mask = ir.Constant(ir.VectorType(ir.I32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, mask)

    def variable(self, value: Any) -> Variable:
        return Variable(self, self.int(value) if isinstance(value, int) else value)

    def buffer(self, count: Any) -> Pointer:
        """Stack space for `count` 8-byte items."""
        with self.builder.goto_entry_block():
            slot = self.builder.alloca(ir.I64, count)
            slot.type = ir.PTR  # llvmlite still gives it the typed pointer that LLVM no longer has
            return Pointer(self, slot)

    # arithmetic on vectors and numbers

    def _intrinsic(self, name: str, *values: Any) -> Any:
        kind = values[0].type
        suffix = f"v{kind.count}f32" if isinstance(kind, ir.VectorType) else "f32"
        full = f"llvm.{name}.{suffix}"
        function = self.module.globals.get(full)
        if function is None:
            function = ir.Function(self.module, ir.FunctionType(kind, [kind] * len(values)), full)
        return self.builder.call(function, values)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """a·b + c; rounded once if the processor has a fused multiply-add."""
        return self._intrinsic("fma" if self.target.fused else "fmuladd", a, b, c)

    def add(self, a: Any, b: Any) -> Any:
        return self.builder.fadd(a, b)

    def sub(self, a: Any, b: Any) -> Any:
        return self.builder.fsub(a, b)

    def mul(self, a: Any, b: Any) -> Any:
        return self.builder.fmul(a, b)

    def div(self, a: Any, b: Any) -> Any:
        return self.builder.fdiv(a, b)

    def least(self, a: Any, b: Any) -> Any:
        """The smaller one; b if one is NaN."""
        return self.builder.select(self.builder.fcmp_ordered("<", a, b), a, b)

    def most(self, a: Any, b: Any) -> Any:
        """The larger one; b if one is NaN."""
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def maximum(self, a: Any, b: Any) -> Any:
        """The larger one; NaN if one is NaN. One instruction on Arm, three on x86: see `most`."""
        if self.target.name == "neon":
            return self._intrinsic("maximum", a, b)
        return self.select(self.unordered(a, a), a, self.most(a, b))

    def widen(self, vector: Any) -> Any:
        """Convert a vector to float64."""
        return self.builder.fpext(vector, ir.VectorType(ir.F64, vector.type.count))

    def narrow(self, doubles: Any) -> Any:
        """Round float64 to float32."""
        return self.builder.fptrunc(doubles, ir.VectorType(ir.F32, doubles.type.count))

    def scale_by(self, vector: Any, doubles: Any) -> Any:
        """The product with float64 factors, rounded once."""
        return self.narrow(self.mul(self.widen(vector), doubles))

    # control

    @contextlib.contextmanager
    def loop(self, start: Size, stop: Size, step: Size = 1) -> Iterator[Int]:
        """for index in range(start, stop, step)"""
        b = self.builder
        start, stop, step = self.int(start), self.int(stop), self.int(step)
        before = b.block
        head, body, end = (b.append_basic_block(part) for part in ("head", "body", "done"))
        b.branch(head)
        b.position_at_end(head)
        phi = b.phi(ir.I64)
        phi.add_incoming(start.value, before)
        index = Int(self, phi)
        b.cbranch(index < stop, body, end)
        b.position_at_end(body)
        yield index
        following = index + step
        phi.add_incoming(following.value, b.block)
        b.branch(head)
        b.position_at_end(end)

    @contextlib.contextmanager
    def repeat(self, count: Int) -> Iterator[Int]:
        """for index in range(count) with the test at the end: runs at least once. The tightest loop possible."""
        b = self.builder
        before = b.block
        body, end = b.append_basic_block("body"), b.append_basic_block("done")
        b.branch(body)
        b.position_at_end(body)
        phi = b.phi(ir.I64)
        phi.add_incoming(self.int(0).value, before)
        index = Int(self, phi)
        yield index
        following = index + 1
        phi.add_incoming(following.value, b.block)
        b.cbranch(following < count, body, end)
        b.position_at_end(end)

    @contextlib.contextmanager
    def when(self, condition: Any) -> Iterator[None]:
        with self.builder.if_then(condition):
            yield

    @contextlib.contextmanager
    def choice(self, condition: Any) -> Iterator[tuple[Any, Any]]:
        with self.builder.if_else(condition) as (then, otherwise):
            yield then, otherwise

    def cases(self, value: Int, numbers: Iterable[Any]) -> Iterator[Any]:
        """for number in numbers: code for the case that the value is this number; other values do nothing."""
        b = self.builder
        end = b.append_basic_block("done")
        switch = b.switch(value.value, end)
        for number in numbers:
            block = b.append_basic_block("case")
            switch.add_case(ir.Constant(ir.I64, number), block)
            b.position_at_end(block)
            yield number
            b.branch(end)
        b.position_at_end(end)

    def lanes_of(self, vector: Any, lanes: Sequence[Any]) -> Any:
        """The vector of these lanes of a vector."""
        mask = ir.Constant(ir.VectorType(ir.I32, len(lanes)), list(lanes))
        return self.builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)

    def shuffle(self, a: Any, b: Any, lanes: Sequence[Any]) -> Any:
        """The vector of these lanes of a and b, numbered through both."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.I32, len(lanes)), list(lanes)))

    def insert(self, vector: Any, number: Any, lane: Size) -> Any:
        """The vector with a number in one lane."""
        return self.builder.insert_element(vector, number, ir.Constant(ir.I32, lane))

    def unordered(self, a: Any, b: Any) -> Any:
        """True where a or b is NaN."""
        return self.builder.fcmp_unordered("uno", a, b)

    def any(self, condition: Any) -> Any:
        """True if a condition holds in at least one lane."""
        bits = ir.IntType(condition.type.count)
        return self.builder.icmp_unsigned("!=", self.builder.bitcast(condition, bits), ir.Constant(bits, 0))

    def float(self, value: Int) -> Any:
        """An integer as a number."""
        return self.builder.sitofp(value.value, ir.F32)

    def select(self, condition: Any, a: Any, b: Any) -> Any:
        """a where the condition holds, else b."""
        if isinstance(a, Int) or isinstance(b, Int):
            return Int(self, self.builder.select(condition, self.int(a).value, self.int(b).value))
        if isinstance(a, Pointer):
            return Pointer(self, self.builder.select(condition, a.value, b.value))
        return self.builder.select(condition, a, b)

    def null_unless(self, condition: Any, address: Pointer) -> Pointer:
        """The address if the condition holds, else null."""
        return Pointer(self, self.builder.select(condition, address.value, ir.Constant(ir.PTR, None)))

    def call(self, function: Pointer, *values: Size | Pointer) -> None:
        """Call a kernel by its address."""
        plain = [
            value.value if isinstance(value, Int | Pointer) else self.int(value).value for value in values
        ]
        kind = ir.FunctionType(ir.VOID, [value.type for value in plain])
        self.builder.call(_Address(kind, function.value), plain)

    # memory shared by threads

    def shared(self, at: Pointer) -> Int:
        """Load a number that other threads change."""
        return Int(self, self.builder.load_atomic(at.value, "seq_cst", 8, typ=ir.I64))

    def publish(self, at: Pointer, value: Size | Pointer) -> None:
        """Store a number or an address so that other threads see it."""
        number = (
            self.int(value).value
            if not isinstance(value, Pointer)
            else self.builder.ptrtoint(value.value, ir.I64)
        )
        self.builder.atomic_rmw("xchg", at.value, number, "seq_cst")

    def count(self, at: Pointer, by: Size = 1) -> Int:
        """Add to a number that other threads change; returns its old value."""
        return Int(self, self.builder.atomic_rmw("add", at.value, self.int(by).value, "seq_cst"))

    def exchange(self, at: Pointer, old: Int, new: Int) -> Any:
        """Replace a number that other threads change, if it is still `old`; whether it was."""
        pair = self.builder.cmpxchg(at.value, old.value, new.value, "seq_cst", "seq_cst")
        return self.builder.extract_value(pair, 1)

    @contextlib.contextmanager
    def until(self, condition: Callable[[], Any]) -> Iterator[None]:
        """while not condition(): …"""
        b = self.builder
        head, body, end = (b.append_basic_block(part) for part in ("head", "body", "done"))
        b.branch(head)
        b.position_at_end(head)
        b.cbranch(condition(), end, body)
        b.position_at_end(body)
        yield
        b.branch(head)
        b.position_at_end(end)

    @property
    def intel(self) -> bool:
        """Whether the target is x86."""
        return self.target.triple.startswith("x86")

    def pause(self) -> None:
        """Hint to the processor that this is a spin loop."""
        if self.intel:
            self._instruction("x86.sse2.pause")
        else:
            self._instruction("aarch64.hint", ir.Constant(ir.I32, 1))

    def fence(self) -> None:
        """Make streamed stores visible to other threads."""
        if self.intel:
            self._instruction("x86.sse.sfence")

    def clock(self) -> Int:
        """A processor counter with a constant rate; 0 where programs may not read it."""
        if not self.intel:
            return self.int(0)
        return Int(self, self._instruction("readcyclecounter", kind=ir.I64))

    @contextlib.contextmanager
    def flush_denormals(self) -> Iterator[None]:
        """Inside, denormals count as 0, because they take a hundred times longer."""
        slots = self.buffer(2)
        if self.intel:
            self._instruction("x86.sse.stmxcsr", slots.value)
            self._instruction("x86.sse.stmxcsr", (slots + 8).value)
            old = self.builder.load((slots + 8).value, typ=ir.I32)
            self.builder.store(self.builder.or_(old, ir.Constant(ir.I32, 0x8040)), (slots + 8).value)
            self._instruction("x86.sse.ldmxcsr", (slots + 8).value)
            yield
            self._instruction("x86.sse.ldmxcsr", slots.value)
        else:
            old = self._instruction("aarch64.get.fpcr", kind=ir.I64)
            self._instruction("aarch64.set.fpcr", self.builder.or_(old, ir.Constant(ir.I64, 1 << 24)))
            yield
            self._instruction("aarch64.set.fpcr", old)

    def _instruction(self, name: str, *values: Any, kind: Any = None) -> Any:
        """Call an LLVM intrinsic for an instruction; kind: type of its result, none by default."""
        full = f"llvm.{name}"
        function = self.module.globals.get(full)
        if function is None:
            function = ir.Function(
                self.module, ir.FunctionType(kind or ir.VOID, [value.type for value in values]), full
            )
        return self.builder.call(function, values)

    def opaque(self, value: Pointer) -> Pointer:
        """The same address, hidden from the optimizer: loads through it are not merged with others."""
        kind = ir.FunctionType(ir.PTR, [ir.PTR])
        return Pointer(self, self.builder.asm(kind, "", "=r,0", [value.value], side_effect=False))

    def prefetch(self, at: Pointer) -> None:
        self._instruction("prefetch.p0", at.value, *(ir.Constant(ir.I32, k) for k in (0, 3, 1)))

    def finish(self) -> str:
        """The function's text, in LLVM's language."""
        if not self.builder.block.is_terminated:
            self.builder.ret_void()
        return str(self.module)


class _Address:
    """A function known only by its address, in the form that llvmlite's call takes."""

    def __init__(self, kind: Any, value: Any) -> None:
        self.type, self.function_type, self._value = ir.PTR, kind, value

    def get_reference(self) -> str:
        return str(self._value.get_reference())
