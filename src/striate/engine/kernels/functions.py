"""Scalar functions on vectors of float32: branch-free, and right for denormals, infinities and NaN.

Each reduces its argument to a short interval and evaluates a polynomial there (Muller et al., Handbook of
Floating-Point Arithmetic, 2nd ed., ch. 10; the reduction by a logarithm in two parts is Cody & Waite's, 1980). The
polynomials are minimax fits by Remez' exchange, in 40 digits, weighted so that the error is relative to the function;
next to each table: what was fitted, where, and its error. Rounded to float32 they serve fused and separate
products alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from striate.engine.codegen import ir
from striate.engine.codegen.emit import Code

EXP = (0.5, 0.166665181517601, 0.04166620597243309, 0.008368953131139278, 0.0013950603315606713)
"""(e^r - 1 - r) / r² for |r| ≤ ln 2 / 2; e^r is off by 3e-9 at most."""
EXP2 = (
    0.6931471824645996, 0.24022650718688965, 0.055503275245428085, 0.00961800292134285, 0.001340040354989469,
    0.00015476447879336774,
)  # fmt: skip
"""(2^r - 1) / r for |r| ≤ 1/2; 2e-9."""
LOG1P = (
    0.3333321511745453, -0.24999797344207764, 0.20010405778884888, -0.16680487990379333, 0.140058696269989,
    -0.12184260785579681, 0.1398443579673767, -0.12891684472560883,
)  # fmt: skip
"""(log(1 + f) - f + f²/2) / f³ for |f| ≤ 1/3; relative to log(1 + f) 5e-9."""
ERF = (
    0.12837916612625122, -0.3761262595653534, 0.1128358542919159, -0.026853812858462334, 0.005188327748328447,
    -0.0008010193705558777, 7.853861461626366e-05,
)  # fmt: skip
"""erf(x) / x - 1 in x², for |x| ≤ 1; 1.2e-9."""
ERFC = (
    -1.6279096603393555, -0.9184086918830872, -0.1484709233045578, 0.028085146099328995, -0.0003314029600005597,
    -0.0020233155228197575, 0.0007828857633285224, -0.00015707362035755068, 1.7218295397469774e-05,
    -8.125330168695655e-07,
)  # fmt: skip
"""log2(erfc(z)) / z for 0 ≤ z ≤ 4; times z and erfc(z)^¼, 5e-8. Beyond 4, erfc(z) < 2^-25 counts as 0."""
ERFC_END = 4.0

LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
"""ln 2 in two parts; the first has nine bits, so that its products with integers are exact."""
SHIFT = 1.5 * 2**23
"""Added to a small number, it leaves the nearest integer in the lowest bits."""
EXP_LEAST, EXP_NORMAL, EXP_MOST = -104.0, -87.5, 89.0
"""Limits of x below which e^x is 0 or subnormal, and above which it is infinite."""
TWO_THIRDS = 0x3F2AAAAB
"""Bits of 2/3: mantissas are taken from 2/3 to 4/3."""
LONG_POLYNOMIAL = 8
"""Coefficients from which on a polynomial is split."""


class Functions:
    """Scalar functions for the vectors of one kernel."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.words = ir.VectorType(ir.I32, code.lanes)

    # small pieces

    def word(self, value: int) -> Any:
        return ir.Constant(self.words, [value] * self.code.lanes)

    def _bits(self, value: Any) -> Any:
        return self.code.builder.bitcast(value, self.words)

    def _real(self, bits: Any) -> Any:
        return self.code.builder.bitcast(bits, self.code.vector)

    def _power(self, shifted: Any) -> Any:
        """2^n from `_whole`'s sum."""
        return self._real(self.code.builder.shl(self._bits(shifted), self.word(23)))

    def _round(self, x: Any, factor: float, bias: int) -> tuple[Any, Any]:
        """n = round(x·factor), and n + SHIFT + bias, whose lowest bits are the exponent field of 2^(n + bias - 127)."""
        code = self.code
        shift = code.broadcast(SHIFT + bias)
        shifted = code.add(x, shift) if factor == 1 else code.fma(x, code.broadcast(factor), shift)
        return code.sub(shifted, shift), shifted

    def _compare(self, a: Any, sign: str, number: float) -> Any:
        return self.code.builder.fcmp_ordered(sign, a, self.code.broadcast(number))

    def _intrinsic(self, name: str, *values: Any) -> Any:
        """Call an LLVM intrinsic on float32, scalar or vector."""
        kind = values[0].type
        full = f"llvm.{name}." + (f"v{kind.count}f32" if isinstance(kind, ir.VectorType) else "f32")
        module = self.code.module
        function = module.globals.get(full)
        if function is None:
            function = ir.Function(module, ir.FunctionType(kind, [kind] * len(values)), full)
        return self.code.builder.call(function, values)

    def polynomial(self, x: Any, coefficients: Sequence[float]) -> Any:
        """c0 + c1·x + … by Horner's rule; a long one in two chains, even and odd, where registers are too few to
        hide a chain's latency by other vectors."""
        code = self.code
        if len(coefficients) >= LONG_POLYNOMIAL and code.target.registers < 32:
            square = code.mul(x, x)
            even, odd = (self._horner(square, coefficients[k::2]) for k in (0, 1))
            return code.fma(odd, x, even)
        return self._horner(x, coefficients)

    def _horner(self, x: Any, coefficients: Sequence[float]) -> Any:
        code = self.code
        value = code.broadcast(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            value = code.fma(value, x, code.broadcast(c))
        return value

    def _scale_by_power(self, value: Any, n: Any) -> Any:
        """value·2^n in one AVX-512 instruction for 16 lanes, rounded once, denormals included."""
        code = self.code
        if code.lanes > 16:
            half = code.lanes // 2
            pieces = range(half), range(half, 2 * half)
            with code.wide(half):
                low, high = (
                    self._scale_by_power(code.lanes_of(value, lanes), code.lanes_of(n, lanes))
                    for lanes in pieces
                )
            return code.shuffle(low, high, range(2 * half))
        name = "llvm.x86.avx512.mask.scalef.ps.512"
        function = code.module.globals.get(name)
        if function is None:
            kinds = [code.vector, code.vector, code.vector, ir.IntType(16), ir.I32]
            function = ir.Function(code.module, ir.FunctionType(code.vector, kinds), name)
        mask, current = ir.Constant(ir.IntType(16), -1), ir.Constant(ir.I32, 4)
        return code.builder.call(function, [value, n, value, mask, current])

    def _reduce(self, x: Any, bias: int) -> tuple[Any, Any, Any]:
        """n = round(x / ln 2) as `_whole` gives it, and e^(x - n·ln 2) - 1."""
        code = self.code
        n, shifted = self._round(x, 1 / math.log(2), bias)
        r = code.fma(n, code.broadcast(-LN2_LOW), code.fma(n, code.broadcast(-LN2_HIGH), x))
        return n, shifted, code.fma(code.mul(r, r), self.polynomial(r, EXP), r)

    # the functions of statements

    def exp(self, x: Any) -> Any:
        """e^x; where 2^n is built from its bits, results below 1.7e-38 become 0."""
        code = self.code
        direct = code.target.name == "avx512" and code.lanes >= 16
        x = code.least(
            code.broadcast(EXP_MOST), code.most(code.broadcast(EXP_LEAST if direct else EXP_NORMAL), x)
        )
        # In two factors, 2^(n-1)·2e^r, because 2^128 is not a float32.
        n, shifted, rest = self._reduce(x, 126)
        if direct:
            return self._scale_by_power(code.add(rest, code.broadcast(1.0)), n)
        return code.mul(self._power(shifted), code.fma(rest, code.broadcast(2.0), code.broadcast(2.0)))

    def exp_neg_plus_one(self, x: Any) -> Any:
        """1 + e^-x, the denominator of gates; in two factors as `exp`, which leave infinity where it is."""
        code = self.code
        x = code.least(code.broadcast(EXP_MOST), code.most(code.broadcast(EXP_NORMAL), self.neg(x)))
        n, shifted = self._round(x, 1 / math.log(2), 126)
        r = code.fma(n, code.broadcast(-LN2_LOW), code.fma(n, code.broadcast(-LN2_HIGH), x))
        double = self.polynomial(r, [2 * c for c in (1.0, 1.0, *EXP)])
        return code.fma(self._power(shifted), double, code.broadcast(1.0))

    def _expm1_below(self, x: Any) -> Any:
        """e^x - 1 for -80 ≤ x ≤ 0."""
        code = self.code
        _, shifted, rest = self._reduce(x, 127)
        scale = self._power(shifted)
        return code.fma(scale, rest, code.sub(scale, code.broadcast(1.0)))

    def expm1(self, x: Any) -> Any:
        code = self.code
        x = code.least(code.broadcast(EXP_MOST), code.most(code.broadcast(-20.0), x))
        _, shifted, rest = self._reduce(x, 126)
        half = self._power(shifted)
        value = code.fma(half, rest, code.sub(half, code.broadcast(0.5)))
        return code.add(value, value)

    def tanh(self, x: Any) -> Any:
        """-t / (t + 2) with t = e^(-2|x|) - 1, and the sign of x."""
        code = self.code
        size = code.least(code.broadcast(10.0), self.abs(x))
        t = self._expm1_below(code.mul(size, code.broadcast(-2.0)))
        return self.copysign(code.div(t, code.add(t, code.broadcast(2.0))), x)

    def tanh_softplus(self, x: Any) -> Any:
        """tanh(log(1 + e^x)) = n / (n + 2) with n = e^x·(e^x + 2)."""
        code = self.code
        e = self.exp(code.least(code.broadcast(20.0), x))
        n = code.mul(e, code.add(e, code.broadcast(2.0)))
        return code.div(n, code.add(n, code.broadcast(2.0)))

    def log1p(self, x: Any) -> Any:
        """With 1 + x = 2^n·(1 + f): n·ln 2 + log(1 + f), where f = x·2^-n + (2^-n - 1) loses nothing of x."""
        code, b = self.code, self.code.builder
        one = code.broadcast(1.0)
        offset = b.sub(self._bits(code.add(x, one)), self.word(TWO_THIRDS))
        field = b.and_(offset, self.word(-(1 << 23)))
        small = self._real(b.sub(self._bits(x), field))
        scale = b.sub(self.word(127 << 23), field)
        scale = code.select(b.icmp_signed("<", scale, self.word(0)), self.word(0), scale)
        f = code.add(small, code.sub(self._real(scale), one))
        n = b.sitofp(b.ashr(offset, self.word(23)), code.vector)
        square = code.mul(f, f)
        tail = code.fma(
            code.mul(square, f), self.polynomial(f, LOG1P), code.mul(square, code.broadcast(-0.5))
        )
        value = code.fma(n, code.broadcast(math.log(2)), code.add(f, tail))
        below = code.select(self._compare(x, "==", -1.0), code.broadcast(-math.inf), code.broadcast(math.nan))
        value = code.select(self._compare(x, ">", -1.0), value, below)
        return code.select(self._compare(x, "==", math.inf), x, value)

    def log(self, x: Any) -> Any:
        """ln x from log2 in float64, which keeps its precision near 1."""
        code, wide = self.code, _Wide(self)
        value = wide.log2(code.builder.fpext(x, wide.kind))
        value = code.builder.fptrunc(code.builder.fmul(value, wide.broadcast(math.log(2))), code.vector)
        return code.select(self._compare(x, "<", 0.0), code.broadcast(math.nan), value)

    def _erfc(self, z: Any) -> Any:
        """1 - erf(z) for z ≥ 0, to 2e-7 of itself while it matters; 0 beyond 4."""
        code = self.code
        inside = code.least(code.broadcast(ERFC_END), z)
        power = code.mul(inside, self.polynomial(inside, ERFC))
        n, shifted = self._round(power, 1.0, 127)
        r = code.sub(power, n)
        value = code.mul(self._power(shifted), code.fma(r, self.polynomial(r, EXP2), code.broadcast(1.0)))
        return code.select(self._compare(z, ">", ERFC_END), code.broadcast(0.0), value)

    def erf(self, x: Any) -> Any:
        code = self.code
        size = self.abs(x)
        near = code.fma(x, self.polynomial(code.mul(x, x), ERF), x)
        far = self.copysign(code.sub(code.broadcast(1.0), self._erfc(size)), x)
        return code.select(self._compare(size, "<", 1.0), near, far)

    def erf_plus_one(self, x: Any) -> Any:
        """1 + erf(x) without the cancellation at negative x."""
        code = self.code
        tail = self._erfc(self.abs(x))
        return code.select(self._compare(x, ">", 0.0), code.sub(code.broadcast(2.0), tail), tail)

    def gelu(self, x: Any) -> Any:
        """x/2·(1 + erf(x/√2)) = max(x, 0) - |x|·erfc(|x|/√2)/2, without cancellation."""
        code, root = self.code, math.sqrt(0.5)
        end, size = code.broadcast(ERFC_END / root), self.abs(x)
        inside = code.least(end, size)
        coefficients = [c * root ** (k + 1) for k, c in enumerate(ERFC)]
        power = code.mul(inside, self.polynomial(inside, coefficients))
        n, shifted = self._round(power, 1.0, 126)
        r = code.sub(power, n)
        tail = code.mul(self._power(shifted), self.polynomial(r, [1.0, *EXP2]))
        tail = code.select(self._compare(size, ">", ERFC_END / root), code.broadcast(0.0), tail)
        return code.fma(self.neg(inside), tail, code.most(code.broadcast(0.0), x))

    def abs(self, x: Any) -> Any:
        return self._intrinsic("fabs", x)

    def sqrt(self, x: Any) -> Any:
        return self._intrinsic("sqrt", x)

    def copysign(self, size: Any, sign: Any) -> Any:
        return self._intrinsic("copysign", size, sign)

    def neg(self, x: Any) -> Any:
        return self.code.builder.fneg(x)

    def add(self, a: Any, b: Any) -> Any:
        return self.code.add(a, b)

    def sub(self, a: Any, b: Any) -> Any:
        return self.code.sub(a, b)

    def mul(self, a: Any, b: Any) -> Any:
        return self.code.mul(a, b)

    def div(self, a: Any, b: Any) -> Any:
        return self.code.div(a, b)

    def max(self, a: Any, b: Any) -> Any:
        """The larger one; NaN if one of them is."""
        return self._propagate_nan(a, b, self.code.most)

    def min(self, a: Any, b: Any) -> Any:
        return self._propagate_nan(a, b, self.code.least)

    def _propagate_nan(self, a: Any, b: Any, choose: Any) -> Any:
        if isinstance(a, ir.Constant):
            return choose(a, b)
        if isinstance(b, ir.Constant):
            return choose(b, a)
        return self.code.select(self.code.unordered(a, a), a, choose(a, b))

    def where(self, test: Any, yes: Any, no: Any) -> Any:
        return self.code.select(self._compare(test, ">", 0.0), yes, no)

    def quotient(self, x: Any, divisor: float) -> Any:
        """x / divisor, within 0.51 units in the last place, as two products with the reciprocal in two parts.

        Both parts have the same sign, so that infinity stays infinite.
        """
        code = self.code
        exact = 1 / divisor
        high = _round_down(exact)
        if high == exact:
            return code.mul(x, code.broadcast(high))
        if code.target.name == "sse":  # no fused product
            return code.div(x, code.broadcast(divisor))
        return code.fma(x, code.broadcast(high), code.mul(x, code.broadcast(exact - high)))

    def pow(self, base: Any, exponent: Any) -> Any:
        """2^(exponent·log2|base|) in float64, then the sign and the limits of C's pow."""
        code, b = self.code, self.code.builder
        wide = _Wide(self)
        size = self.abs(base)
        value = wide.power(size, exponent)
        one, zero = code.broadcast(1.0), code.broadcast(0.0)
        unit = b.or_(b.fcmp_ordered("==", exponent, zero), b.fcmp_ordered("==", size, one))
        value = code.select(unit, one, value)
        half = code.mul(exponent, code.broadcast(0.5))
        integral = b.fcmp_ordered("==", self._intrinsic("rint", exponent), exponent)
        odd = b.and_(integral, b.fcmp_ordered("!=", self._intrinsic("rint", half), half))
        negative = b.icmp_signed("<", self._bits(base), self.word(0))
        undefined = b.and_(b.fcmp_ordered("<", base, zero), b.not_(integral))
        undefined = b.and_(undefined, b.fcmp_ordered("<", size, code.broadcast(math.inf)))
        value = code.select(b.and_(negative, odd), self.neg(value), value)
        value = code.select(undefined, code.broadcast(math.nan), value)
        certain = b.or_(b.fcmp_ordered("==", base, one), b.fcmp_ordered("==", exponent, zero))
        return code.select(certain, one, value)


class _Wide:
    """Powers in float64: series good for 1e-12 are enough for a float32 result."""

    SHIFT = 1.5 * 2**52
    LIMIT = 1e300

    def __init__(self, functions: Functions) -> None:
        self.code = functions.code
        self.kind = ir.VectorType(ir.DoubleType(), self.code.lanes)
        self.words = ir.VectorType(ir.I64, self.code.lanes)

    def broadcast(self, value: float) -> Any:
        return ir.Constant(self.kind, [value] * self.code.lanes)

    def word(self, value: int) -> Any:
        return ir.Constant(self.words, [value] * self.code.lanes)

    def series(self, x: Any, coefficients: Sequence[float]) -> Any:
        b, value = self.code.builder, self.broadcast(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            value = b.fadd(b.fmul(value, x), self.broadcast(c))
        return value

    def log2(self, x: Any) -> Any:
        """log2 of float64 numbers ≥ 0: exponent + 2/ln 2·artanh((m - 1)/(m + 1)) for a mantissa m around 1."""
        b = self.code.builder
        bits = b.bitcast(x, self.words)
        field = b.and_(b.sub(bits, self.word(0x3FE6A09E667F3BCD)), self.word(-(1 << 52)))
        shift = b.bitcast(self.broadcast(self.SHIFT), self.words)
        n = b.fsub(
            b.bitcast(b.add(b.ashr(field, self.word(52)), shift), self.kind), self.broadcast(self.SHIFT)
        )
        m = b.bitcast(b.sub(bits, field), self.kind)
        s = b.fdiv(b.fsub(m, self.broadcast(1.0)), b.fadd(m, self.broadcast(1.0)))
        odd = [2 / math.log(2) / (2 * k + 1) for k in range(9)]
        value = b.fadd(n, b.fmul(s, self.series(b.fmul(s, s), odd)))
        value = b.select(b.fcmp_ordered("==", x, self.broadcast(0.0)), self.broadcast(-self.LIMIT), value)
        return b.select(b.fcmp_unordered("==", x, self.broadcast(math.inf)), b.fmul(x, x), value)

    def power(self, size: Any, exponent: Any) -> Any:
        b = self.code.builder
        x, y = b.fpext(size, self.kind), b.fpext(exponent, self.kind)
        t = b.fmul(y, self.log2(x))
        for sign, limit in ((">", self.broadcast(-300.0)), ("<", self.broadcast(300.0))):
            t = b.select(b.fcmp_ordered(sign, limit, t), limit, t)
        shifted = b.fadd(t, self.broadcast(self.SHIFT))
        r = b.fsub(t, b.fsub(shifted, self.broadcast(self.SHIFT)))
        terms = [math.log(2) ** k / math.factorial(k) for k in range(11)]
        exponent = b.shl(b.add(b.bitcast(shifted, self.words), self.word(1023)), self.word(52))
        value = b.fmul(self.series(r, terms), b.bitcast(exponent, self.kind))
        return b.fptrunc(value, self.code.vector)


def _round_down(value: float) -> float:
    """The float32 next to a number towards 0."""
    mantissa, exponent = math.frexp(value)
    return math.ldexp(math.trunc(mantissa * 2**24), exponent - 24)
