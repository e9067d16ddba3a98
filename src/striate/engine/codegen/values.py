"""Values of a function under construction: integers, addresses and variables that read like Python's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from striate.engine.codegen import ir

if TYPE_CHECKING:
    from striate.engine.codegen.emit import Code

Size: TypeAlias = "Int | int"


class Int:
    """A 64-bit integer; plain numbers fold."""

    __slots__ = ("code", "value")

    def __init__(self, code: Code, value: Any) -> None:
        self.code, self.value = code, value

    def _do(self, method: str, other: Size, swap: bool = False) -> Int:
        a, b = self.value, self.code.int(other).value
        if swap:
            a, b = b, a
        return Int(self.code, getattr(self.code.builder, method)(a, b))

    def __add__(self, other: Size) -> Int:
        return self if other == 0 and isinstance(other, int) else self._do("add", other)

    def __sub__(self, other: Size) -> Int:
        return self._do("sub", other)

    def __rsub__(self, other: int) -> Int:
        return self._do("sub", other, swap=True)

    def __mul__(self, other: Size) -> Int:
        return self if other == 1 and isinstance(other, int) else self._do("mul", other)

    def __floordiv__(self, other: Size) -> Int:
        return self._do("udiv", other)

    def __mod__(self, other: Size) -> Int:
        return self._do("urem", other)

    def __and__(self, other: Size) -> Int:
        return self._do("and_", other)

    __radd__, __rmul__ = __add__, __mul__

    def _compare(self, sign: str, other: Size) -> Any:
        return self.code.builder.icmp_signed(sign, self.value, self.code.int(other).value)

    def __lt__(self, other: Size) -> Any:
        return self._compare("<", other)

    def __le__(self, other: Size) -> Any:
        return self._compare("<=", other)

    def __gt__(self, other: Size) -> Any:
        return self._compare(">", other)

    def __ge__(self, other: Size) -> Any:
        return self._compare(">=", other)

    def equals(self, other: Size) -> Any:
        return self._compare("==", other)

    def differs(self, other: Size) -> Any:
        return self._compare("!=", other)

    def least(self, other: Size) -> Int:
        other = self.code.int(other)
        return Int(self.code, self.code.builder.select(self < other, self.value, other.value))

    def most(self, other: Size) -> Int:
        other = self.code.int(other)
        return Int(self.code, self.code.builder.select(self > other, self.value, other.value))


class Pointer:
    """An address; offsets are in bytes."""

    __slots__ = ("code", "value")

    def __init__(self, code: Code, value: Any) -> None:
        self.code, self.value = code, value

    def __add__(self, offset: Size) -> Pointer:
        if isinstance(offset, int) and offset == 0:
            return self
        at = self.code.int(offset).value
        return Pointer(self.code, self.code.builder.gep(self.value, [at], source_etype=ir.IntType(8)))

    def _load(self, kind: Any, offset: Size, align: int) -> Any:
        return self.code.builder.load((self + offset).value, typ=kind, align=align)

    def vector(self, offset: Size = 0) -> Any:
        """A vector of a block's numbers; any address."""
        return self._load(self.code.vector, offset, 4)

    def number(self, offset: Size = 0) -> Any:
        return self._load(ir.F32, offset, 4)

    def broadcast(self, offset: Size = 0) -> Any:
        """One number in every lane."""
        return self.code.broadcast(self.number(offset))

    def doubles(self, offset: Size = 0) -> Any:
        """As many 64-bit numbers as a block holds."""
        return self._load(ir.VectorType(ir.F64, self.code.lanes), offset, 8)

    def int(self, offset: Size = 0) -> Int:
        return Int(self.code, self._load(ir.I64, offset, 8))

    def short(self, offset: Size = 0) -> Int:
        """A signed 32-bit integer."""
        return Int(self.code, self.code.builder.sext(self._load(ir.I32, offset, 4), ir.I64))

    def pointer(self, offset: Size = 0) -> Pointer:
        return Pointer(self.code, self._load(ir.PTR, offset, 8))

    def store(self, value: Any, offset: Size = 0) -> None:
        """Store a vector, number, integer or pointer."""
        plain = value.value if isinstance(value, Int | Pointer) else value
        align = 8 if isinstance(value, Int | Pointer) else 4
        self.code.builder.store(plain, (self + offset).value, align=align)

    def stream(self, value: Any, offset: Size = 0) -> None:
        """Store a vector that is not read soon. A whole cache line bypasses the caches: its address must then be
        aligned to a line, and `code.fence()` must follow before another thread reads it."""
        code = self.code
        if not (code.intel and code.bytes == 64):
            return self.store(value, offset)
        mark = code.module.add_metadata([ir.Constant(ir.I32, 1)])
        code.builder.store(value, (self + offset).value, align=64).set_metadata("nontemporal", mark)

    @property
    def not_null(self) -> Any:
        """True when the address is not null."""
        return self.code.builder.icmp_unsigned("!=", self.value, ir.Constant(ir.PTR, None))


class Variable:
    """A mutable variable."""

    __slots__ = ("code", "kind", "slot")

    def __init__(self, code: Code, value: Any) -> None:
        self.code, self.kind = code, type(value)
        raw = value.value if isinstance(value, Int | Pointer) else value
        with code.builder.goto_entry_block():
            self.slot = code.builder.alloca(raw.type)
        self.set(value)

    def get(self) -> Any:
        raw = self.code.builder.load(self.slot, typ=self.slot.allocated_type)
        return self.kind(self.code, raw) if self.kind in (Int, Pointer) else raw

    def set(self, value: Any) -> None:
        self.code.builder.store(value.value if isinstance(value, Int | Pointer) else value, self.slot)
