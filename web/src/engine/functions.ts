// The scalar functions of statements. tests/browser/test_engine.py compares the names with striate.statement.FUNCTIONS.

/** Error function: the series of Kummer, whose terms are all positive; 1 from where float64 cannot tell it apart. */
export function erf(x: number): number {
  const size = Math.abs(x)
  if (!(size < 6)) return Number.isNaN(x) ? x : Math.sign(x)
  let term = size
  let sum = size
  for (let n = 1; term > sum * 1e-17; n++) {
    term *= (2 * size * size) / (2 * n + 1)
    sum += term
  }
  return Math.sign(x) * Math.min((2 / Math.sqrt(Math.PI)) * Math.exp(-size * size) * sum, 1)
}

export type ScalarFunction = (a: number, b: number, c: number) => number

export const FUNCTIONS: Record<string, ScalarFunction> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  neg: (a) => -a,
  max: (a, b) => Math.max(a, b),
  min: (a, b) => Math.min(a, b),
  abs: (a) => Math.abs(a),
  exp: (a) => Math.exp(a),
  expm1: (a) => Math.expm1(a),
  log: (a) => Math.log(a),
  log1p: (a) => Math.log1p(a),
  sqrt: (a) => Math.sqrt(a),
  // 1 to any power is 1, also to infinity, which JavaScript leaves open.
  pow: (a, b) => (a === 1 ? 1 : a === -1 && Math.abs(b) === Infinity ? 1 : a ** b),
  tanh: (a) => Math.tanh(a),
  erf: (a) => erf(a),
  where: (test, yes, no) => (test > 0 ? yes : no),
}
