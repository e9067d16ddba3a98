// What a unit of a node sees of an input, and which units see a pixel: read from the record, exact in whole numbers.
import type { FieldAxis, LivePage, ShownNode, UnitField } from "../../record"

export type Span = [number, number]

/** How units along `axis` of a node see one axis of an input. */
export interface Seen {
  /** the node's axis whose units differ along it; "" if all see the same */
  axis: string
  /** first and last coordinate of unit i; nothing is seen where the last is before the first */
  span(i: number): Span
  /** whether the spans are exact */
  exact: boolean
}

/** Names of the axes of space of a shape [C, …]. */
export const axesOf = (shape: number[]): string[] => ({ 1: ["l"], 2: ["h", "w"], 3: ["d", "h", "w"] })[shape.length - 1] ?? []

export const AXIS_WORDS: Record<string, string> = { l: "position", d: "slice", h: "row", w: "column" }

function seen(field: FieldAxis, axis: string, unit: UnitField | undefined): Seen {
  if (unit && unit.spans.length) {
    const { spans, step } = unit
    return {
      axis: unit.axis,
      exact: true,
      span(i) {
        const at = unit.axis ? i : 0
        const turns = Math.floor(at / spans.length)
        const [lo = 0, hi = -1] = spans[at % spans.length] ?? []
        return [lo + turns * step, hi + turns * step]
      },
    }
  }
  const { size, jump, start } = field
  return {
    axis: jump ? (unit?.axis ?? axis) : "",
    exact: !unit,
    span: (i) => [Math.floor(start + i * jump), Math.ceil(start + i * jump) + size - 1],
  }
}

/** Of each axis of an input, how the units of a node see it; nothing where the input does not lead to the node. */
export function seenBy(record: LivePage, node: ShownNode, input: string): Record<string, Seen> {
  const fields = node.receptive_fields ? (node.receptive_fields[input] ?? {}) : node.receptive_field
  const units = record.network?.fields[node.name]?.[input] ?? {}
  return Object.fromEntries(Object.entries(fields).map(([axis, field]) => [axis, seen(field, axis, units[axis])]))
}

/** What the unit at `unit` (an index for each of the node's axes) sees, by axis of the input. */
export function fieldOf(by: Record<string, Seen>, node: ShownNode, unit: number[]): Record<string, Span> {
  const axes = axesOf(node.output)
  return Object.fromEntries(
    Object.entries(by).map(([axis, one]) => [axis, one.span(one.axis ? (unit[axes.indexOf(one.axis)] ?? 0) : 0)]),
  )
}

/** The units whose field holds a pixel, as runs of indices for each of the node's axes; null if there is none. */
export function reachOf(by: Record<string, Seen>, node: ShownNode, pixel: Record<string, number>): Span[][] | null {
  const carried = new Map(Object.entries(by).flatMap(([axis, one]) => (one.axis ? [[one.axis, axis] as const] : [])))
  for (const [axis, one] of Object.entries(by)) {
    const [lo, hi] = one.span(0)
    if (!one.axis && ((pixel[axis] ?? 0) < lo || (pixel[axis] ?? 0) > hi)) return null
  }
  const runs = axesOf(node.output).map((axis, k) => {
    const units = node.output[k + 1] ?? 0
    const source = carried.get(axis)
    const one = source === undefined ? undefined : by[source]
    if (!one || source === undefined) return units ? [[0, units - 1] as Span] : []
    const at = pixel[source] ?? 0
    const found: Span[] = []
    for (let i = 0; i < units; i++) {
      const [lo, hi] = one.span(i)
      if (at < lo || at > hi) continue
      const last = found[found.length - 1]
      if (last && last[1] === i - 1) last[1] = i
      else found.push([i, i])
    }
    return found
  })
  return runs.every((run) => run.length) ? runs : null
}

/** How many units are in runs of indices. */
export const countUnits = (runs: Span[]): number => runs.reduce((sum, [lo, hi]) => sum + hi - lo + 1, 0)

/** "rows 1 to 3", "row 2", "rows 0 to 1 and 4". */
export function runText(axis: string, runs: Span[]): string {
  const texts = runs.map(([lo, hi]) => (lo === hi ? String(lo) : `${lo} to ${hi}`))
  const word = AXIS_WORDS[axis] ?? axis
  const many = countUnits(runs) > 1 ? `${word}s` : word
  return `${many} ${texts.length > 4 ? `${texts.slice(0, 3).join(", ")}, … ${texts[texts.length - 1]}` : texts.join(" and ")}`
}
