// One layer as the route names it: `n=7&f=3&s=3&p=0&d=1&c=1&k=1&mode=zeros`, or by axis `nh`, `nw`, `fh`, …, `pt`, `pb`, `pl`, `pr`.
import * as geometry from "../../geometry"
import type { Axis, Mode } from "../../geometry"

export interface Layer {
  rows: Axis
  columns: Axis
  channels: number
  filters: number
}
export type State = "fits" | "remainder" | "impossible"

/** Smallest, largest and usual value of each parameter. */
export const RANGES = {
  n: [1, 512, 7],
  f: [1, 64, 3],
  s: [1, 64, 1],
  p: [0, 128, 0],
  d: [1, 32, 1],
  c: [1, 4096, 1],
  k: [1, 4096, 1],
} as const
export type Letter = keyof typeof RANGES

/** The layer of a route, and what in the route could not be taken. */
export function parse(parameters: Record<string, string>): { layer: Layer; refused: string[] } {
  const refused = new Set<string>()
  const value = (letter: Letter, ...names: string[]): number => {
    const [least, most, usual] = RANGES[letter]
    for (const name of [...names, letter]) {
      const text = parameters[name]
      if (text === undefined) continue
      const number = Number(text)
      if (/^\d+$/.test(text) && number >= least && number <= most) return number
      refused.add(`${name}=${text.slice(0, 20)} is not a whole number from ${least} to ${most}`)
    }
    return usual
  }
  const word = parameters["mode"] ?? "zeros"
  const mode = geometry.MODES.find((one) => one === word) ?? "zeros"
  if (mode !== word) refused.add(`mode=${word.slice(0, 20)} is not one of ${geometry.MODES.join(", ")}`)
  const axis = (side: "h" | "w", before: string, after: string): Axis => ({
    input: value("n", `n${side}`),
    kernel: value("f", `f${side}`),
    stride: value("s", `s${side}`),
    before: value("p", before),
    after: value("p", after),
    dilation: value("d", `d${side}`),
    mode,
  })
  const layer = { rows: axis("h", "pt", "pb"), columns: axis("w", "pl", "pr"), channels: value("c"), filters: value("k") }
  return { layer, refused: [...refused] }
}

const LETTERS = { n: "input", f: "kernel", s: "stride", d: "dilation" } as const

/** The parameters of a layer: a letter where both axes agree. Those that do not stand are undefined. */
export function write({ rows, columns, channels, filters }: Layer): Record<string, string | number | undefined> {
  const result: Record<string, string | number | undefined> = {}
  for (const [letter, field] of Object.entries(LETTERS)) {
    const same = rows[field] === columns[field]
    result[letter] = same ? rows[field] : undefined
    result[`${letter}h`] = same ? undefined : rows[field]
    result[`${letter}w`] = same ? undefined : columns[field]
  }
  const pads = sides({ rows, columns })
  const same = new Set(pads).size === 1
  result["p"] = same ? pads[0] : undefined
  ;["pt", "pb", "pl", "pr"].forEach((name, k) => (result[name] = same ? undefined : pads[k]))
  return { ...result, c: channels, k: filters, mode: modeOf({ rows }) }
}

/** Padding at the top, bottom, left and right; as the notation writes it. */
export const sides = ({ rows, columns }: Pick<Layer, "rows" | "columns">) => [rows.before, rows.after, columns.before, columns.after]
export const padText = (layer: Layer): string => (new Set(sides(layer)).size === 1 ? String(layer.rows.before) : sides(layer).join())
export const modeOf = ({ rows }: Pick<Layer, "rows">): Mode => rows.mode ?? "zeros"
export const axesOf = ({ rows, columns }: Layer): [Axis, Axis] => [rows, columns]

/** What is known of each axis. */
export const onAxes = <Value>({ rows, columns }: Layer, of: (axis: Axis, k: number) => Value): [Value, Value] => [of(rows, 0), of(columns, 1)]

/** The layer with a change to both axes. */
export const changed = (layer: Layer, change: (axis: Axis) => Partial<Axis>): Layer => {
  const [rows, columns] = onAxes(layer, (axis) => ({ ...axis, ...change(axis) }))
  return { ...layer, rows, columns }
}

export function state(layer: Layer): State {
  if (!onAxes(layer, geometry.outputs).every(Boolean)) return "impossible"
  return onAxes(layer, geometry.remainder).some(Boolean) ? "remainder" : "fits"
}

/** Whether real rows or columns are lost at the end, not padding alone. */
export const loses = (layer: Layer): boolean => onAxes(layer, geometry.unreached).some(({ lost }) => lost)

/** Rows and columns that no window reads. */
export function unread(layer: Layer): { rows: number[]; columns: number[]; pixels: number } {
  const [rows, columns] = onAxes(layer, (axis) => geometry.counts(axis).flatMap((count, x) => (count ? [] : [x])))
  const [high, wide] = [layer.rows.input, layer.columns.input]
  return { rows, columns, pixels: high * wide - (high - rows.length) * (wide - columns.length) }
}

/** Numbers as runs: `6`, `1-3`; at most four of them. between: first and last of a run. */
export function runs(numbers: number[], between: string): string {
  const result: [number, number][] = []
  for (const x of numbers) {
    const last = result.at(-1)
    if (last?.[1] === x - 1) last[1] = x
    else result.push([x, x])
  }
  const texts = result.map(([a, b]) => (a === b ? `${a}` : a + between + b))
  return texts.length > 4 ? `${texts.slice(0, 3).join(", ")} \u2026 ${texts.at(-1)}` : texts.join(", ")
}

export const by = (height: number, width: number): string => `${height}x${width}`
export const outputText = (layer: Layer): string => by(...onAxes(layer, geometry.outputs))

/** Learned numbers and multiply-accumulates of the layer, and of a fully connected one between the same shapes. */
export function cost(layer: Layer) {
  const { rows, columns, channels, filters } = layer
  const places = geometry.outputs(rows) * geometry.outputs(columns)
  const products = rows.kernel * columns.kernel * channels
  const [inputs, outputs] = [rows.input * columns.input * channels, places * filters]
  return {
    products,
    inputs,
    outputs,
    conv: { params: filters * products + filters, macs: outputs * products },
    dense: { params: inputs * outputs + outputs, macs: inputs * outputs },
  }
}
