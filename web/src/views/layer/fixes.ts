// Changes that make a layer fit, smallest first. Each is checked: what does not fit exactly is not offered.
import * as geometry from "../../geometry"
import type { Axis } from "../../geometry"
import { axesOf, by, changed, type Layer, outputText, padText, state } from "./model"

export interface Fix {
  text: string
  layer: Layer
}

const MOST_PADDING = 128
const MOST_INPUT = 512

export function fixes(layer: Layer): Fix[] {
  const now = state(layer)
  if (now === "fits") return []
  const bad = (axis: Axis) => geometry.room(axis) < 0 || geometry.remainder(axis) > 0
  const most = Math.max(...axesOf(layer).filter(bad).map((axis) => axis.stride))
  const all = Array.from({ length: most - 1 }, (_, k) => k + 1)
  const strides = now === "impossible" ? [] : all.length < 4 ? all : [1, ...all.slice(-2)]
  const made: ((axis: Axis) => Partial<Axis>)[] = [...strides.map((stride) => () => ({ stride })), padToFit(bad)]
  if (now === "impossible") made.push((axis) => nearest(bad, axis, "kernel", -1))
  made.push(...[-1, 1].map((step) => (axis: Axis) => nearest(bad, axis, "input", step)))
  return made.flatMap((change) => {
    const one = changed(layer, (axis) => (bad(axis) ? change(axis) : {}))
    return state(one) === "fits" ? [{ text: `${describeChange(layer, one)} (\u2192 ${outputText(one)})`, layer: one }] : []
  })
}

type IsBad = (axis: Axis) => boolean

/** The next smaller or larger value that fits. */
function nearest(bad: IsBad, axis: Axis, field: "kernel" | "input", step: number): Partial<Axis> {
  for (let value = axis[field] + step; value >= 1 && value <= MOST_INPUT; value += step)
    if (!bad({ ...axis, [field]: value })) return { [field]: value }
  return {}
}

/** Equal padding on both sides if that can fit, else more at the end. */
const padToFit = (bad: IsBad) => (axis: Axis): Partial<Axis> => {
  for (let extra = 1; axis.before + extra < geometry.span(axis) && axis.before + extra <= MOST_PADDING; extra++) {
    const pad = { before: axis.before + extra, after: axis.after + extra }
    if (!bad({ ...axis, ...pad })) return pad
  }
  return { after: axis.after + (geometry.room(axis) < 0 ? -geometry.room(axis) : axis.stride - geometry.remainder(axis)) }
}

/** What differs between two layers. */
function describeChange({ rows, columns }: Layer, now: Layer): string {
  for (const field of ["stride", "kernel", "input"] as const) {
    const [high, wide] = [now.rows[field], now.columns[field]]
    if (high !== rows[field] || wide !== columns[field]) return `${field} ${field === "stride" && high === wide ? high : by(high, wide)}`
  }
  return `pad ${padText(now)}`
}
