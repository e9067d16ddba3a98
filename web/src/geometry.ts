// The arithmetic of one window along one axis. Equal to striate/geometry on generated layers (tests/browser/test_geometry.py).

export const MODES = ["zeros", "circular", "reflect", "replicate"] as const
/** What stands in the padding: zeros, or numbers of the input. */
export type Mode = (typeof MODES)[number]

/** One axis of a layer: input size, kernel, stride, padding before and after, dilation. */
export interface Axis {
  input: number
  kernel: number
  stride: number
  before: number
  after: number
  dilation: number
  mode?: Mode
}

/** Size that the window spans with its dilation. */
export const span = ({ kernel, dilation }: Pick<Axis, "kernel" | "dilation">): number => dilation * (kernel - 1) + 1

/** Padded input minus the window's span: negative if the window does not fit. */
export const room = (axis: Axis): number => axis.input + axis.before + axis.after - span(axis)

/** Whole positions of the window, 0 if it does not fit. */
export const outputs = (axis: Axis): number => (room(axis) < 0 ? 0 : Math.floor(room(axis) / axis.stride) + 1)

/** Positions that the stride leaves over, 0 if all fits. */
export const remainder = (axis: Axis): number => ((room(axis) % axis.stride) + axis.stride) % axis.stride

/** Where coordinate x lies on an axis of n; undefined in zero padding. */
export function fold(x: number, n: number, mode: Mode = "zeros"): number | undefined {
  if (x >= 0 && x < n) return x
  if (mode === "circular") return ((x % n) + n) % n
  if (mode === "replicate") return Math.min(Math.max(x, 0), n - 1)
  if (mode === "zeros") return undefined
  if (n === 1) return 0
  const turn = 2 * (n - 1)
  const back = ((x % turn) + turn) % turn
  return Math.min(back, turn - back)
}

/** Coordinate that tap u of output i touches, perhaps in the padding. */
export const raw = (axis: Axis, i: number, u: number): number => i * axis.stride + u * axis.dilation - axis.before

/** The input position that tap u of output i reads; undefined where it reads nothing of the input. */
export const place = (axis: Axis, i: number, u: number): number | undefined =>
  fold(raw(axis, i, u), axis.input, axis.mode)

/** How many windows read each input position; a window that reads one through several taps counts as often. */
export function counts(axis: Axis): number[] {
  const totals = new Array<number>(axis.input).fill(0)
  for (let i = 0; i < outputs(axis); i++)
    for (let u = 0; u < axis.kernel; u++) {
      const x = place(axis, i, u)
      if (x !== undefined) totals[x] = (totals[x] ?? 0) + 1
    }
  return totals
}

/** Input positions that output i reads, in the order of the taps. */
export function reads(axis: Axis, i: number): number[] {
  const places: number[] = []
  for (let u = 0; u < axis.kernel; u++) {
    const x = place(axis, i, u)
    if (x !== undefined) places.push(x)
  }
  return places
}

/** Outputs and taps that read input position x. */
export function readers(axis: Axis, x: number): { output: number; tap: number }[] {
  const pairs: { output: number; tap: number }[] = []
  for (let i = 0; i < outputs(axis); i++)
    for (let u = 0; u < axis.kernel; u++) if (place(axis, i, u) === x) pairs.push({ output: i, tap: u })
  return pairs
}

/** Positions after the last window: those of the input, and those of the padding at either end. */
export function unreached(axis: Axis): { lost: number; padding: number } {
  const size = outputs(axis)
  if (!size) return { lost: 0, padding: 0 }
  const trailing = room(axis) - (size - 1) * axis.stride
  const after = Math.min(trailing, axis.after)
  const lost = Math.min(trailing - after, axis.input)
  return { lost, padding: trailing - lost }
}

/** Padding before and after that a policy asks for. */
export function padding(policy: "valid" | "same" | "full", axis: Axis): { before: number; after: number } {
  const same = Math.max((Math.ceil(axis.input / axis.stride) - 1) * axis.stride + span(axis) - axis.input, 0)
  const total = { valid: 0, same, full: 2 * span(axis) - 2 }[policy]
  return { before: Math.floor(total / 2), after: Math.ceil(total / 2) }
}

const MINUS = "\u2212"
const signed = (text: string): string => text.replace("-", MINUS)

/** Padded input minus span over stride, plus 1, before any rounding: whole, or with two decimals as Python rounds. */
export function size(axis: Axis): string {
  const value = (room(axis) + axis.stride) / axis.stride
  if (Number.isInteger(value)) return signed(String(value))
  // Only an odd number of eighths lies exactly between two decimals: the even one is taken.
  const half = Number.isInteger(value * 8) && value * 8 % 2 !== 0
  const below = Math.floor(value * 100)
  return signed(half ? ((below + (below % 2 ? 1 : 0)) / 100).toFixed(2) : value.toFixed(2))
}

/** The formula with its numbers: `(7 + 2·0 − 3)/3 + 1 = 2.33`; with dilation `(7 + 2·0 − 2·(3 − 1) − 1)/1 + 1 = 3`. */
export function formula(axis: Axis): string {
  const { input, before, after, kernel, dilation, stride } = axis
  const pads = before === after ? `2·${before}` : `${before} + ${after}`
  const reach = dilation === 1 ? `${kernel}` : `${dilation}·(${kernel} ${MINUS} 1) ${MINUS} 1`
  return `(${input} + ${pads} ${MINUS} ${reach})/${stride} + 1 = ${size(axis)}`
}
