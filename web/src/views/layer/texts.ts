// A layer as other programs and papers write it, and what it says of itself.
import * as geometry from "../../geometry"
import type { Axis } from "../../geometry"
import { grouped as groupedText, plural } from "../../large"
import { axesOf, by, cost, type Layer, modeOf, onAxes, outputText, padText, runs, sides, state, unread } from "./model"

export { plural }
export const grouped = (count: number): string => groupedText(String(count))

const isPadded = (layer: Layer) => sides(layer).some(Boolean)

/** `7x7x1 -> conv 3x3 /3`. */
export function notation(layer: Layer): string {
  const { rows, columns, channels, filters } = layer
  const words = [`${by(rows.input, columns.input)}x${channels} -> conv ${by(rows.kernel, columns.kernel)}`]
  const add = (word: string, high: number, wide: number) => {
    if (high > 1 || wide > 1) words.push(word + (high === wide ? high : by(high, wide)))
  }
  add("", filters, filters)
  add("/", rows.stride, columns.stride)
  if (isPadded(layer)) words.push(`pad ${padText(layer)}`)
  add("dil ", rows.dilation, columns.dilation)
  if (modeOf(layer) !== "zeros") words.push(`mode ${modeOf(layer)}`)
  return words.join(" ")
}

/** `nn.Conv2d(1, 1, 3, stride=3)`; PyTorch's own layer for padding that differs by side. */
export function pytorch(layer: Layer): string {
  const { rows, columns, channels, filters } = layer
  const mode = modeOf(layer)
  const pair = (high: number, wide: number) => (high === wide ? String(high) : `(${high}, ${wide})`)
  const words = [String(channels), String(filters), pair(rows.kernel, columns.kernel)]
  const add = (word: string, high: number, wide: number, usual: number) => {
    if (high !== usual || wide !== usual) words.push(`${word}=${pair(high, wide)}`)
  }
  const inside = axesOf(layer).every(({ before, after }) => before === after)
  add("stride", rows.stride, columns.stride, 1)
  if (inside) add("padding", rows.before, columns.before, 0)
  add("dilation", rows.dilation, columns.dilation, 1)
  if (inside && mode !== "zeros") words.push(`padding_mode='${mode}'`)
  const conv = `nn.Conv2d(${words.join(", ")})`
  if (inside) return conv
  const name = { zeros: "Zero", circular: "Circular", reflect: "Reflection", replicate: "Replication" }[mode]
  const [top, bottom, left, right] = sides(layer)
  return `nn.Sequential(nn.${name}Pad2d((${left}, ${right}, ${top}, ${bottom})), ${conv})`
}

/** The formulas of the axes, those that agree once: name of the axis and the text. */
export function formulas(layer: Layer): { name: string; text: string; axis: Axis }[] {
  const [high, wide] = onAxes(layer, (axis, k) => ({ name: k ? "width" : "height", text: geometry.formula(axis), axis }))
  return high.text === wide.text ? [{ ...high, name: "" }] : [high, wide]
}

/** `\left\lfloor \frac{7 + 2 \cdot 0 - 3}{3} \right\rfloor + 1 = 2`, for each axis that differs. */
export function latex(layer: Layer): string {
  return formulas(layer)
    .map(({ axis, text }) => {
      const [, sum = "", stride = "", size = ""] = /^\((.*)\)\/(\d+) \+ 1 = (.*)$/.exec(text.replace(/\u2212/g, "-").replace(/\u00b7/g, " \\cdot ")) ?? []
      const fraction = `\\frac{${sum}}{${stride}}`
      const exact = `${fraction} + 1 = ${size}`
      const count = geometry.outputs(axis)
      if (!count) return `${exact} < 1`
      return geometry.remainder(axis) ? `\\left\\lfloor ${fraction} \\right\\rfloor + 1 = ${count} \\qquad ${exact}` : exact
    })
    .join(" \\qquad ")
}

/** What the state means, in sentences. */
export function verdict(layer: Layer): string {
  const now = state(layer)
  const never = unread(layer)
  const lines = [["row", never.rows], ["column", never.columns]] as const
  const where = lines.flatMap(([unit, all]) => (all.length ? `${unit}${all.length > 1 ? "s" : ""} ${runs(all, "-")}` : [])).join(" and ")
  const lost = never.pixels
    ? `${grouped(never.pixels)} of ${plural(layer.rows.input * layer.columns.input, "pixel")} ${never.pixels === 1 ? "is" : "are"} never read: ${where}.`
    : "Every pixel is read."
  if (now === "fits") return `The windows fit exactly: ${outputText(layer)} positions. ${lost}`
  const bad = formulas(layer).filter(({ axis }) => (now === "impossible" ? !geometry.outputs(axis) : geometry.remainder(axis)))
  const all = (of: (axis: Axis) => number | string) => bad.map(({ axis }) => of(axis)).join(" and ")
  const out = all((axis) => (geometry.room(axis) < 0 ? -geometry.room(axis) : axis.stride - geometry.remainder(axis)))
  if (now === "impossible") {
    return `The filter reaches over ${all(geometry.span)}, the ${isPadded(layer) ? "padded " : ""}input is ${all((axis) => geometry.room(axis) + geometry.span(axis))}: it would stand ${out} past the end, and PyTorch raises an error.`
  }
  const wasted = Math.max(...bad.map(({ axis }) => geometry.unreached(axis).padding))
  const several = bad.length > 1
  return [
    `${all(geometry.size)} ${several ? "are not whole numbers" : "is not a whole number"}: the next window would stand ${out} past the end.`,
    `PyTorch floors ${several ? "them" : "it"} to ${all(geometry.outputs)} and says nothing.`,
    lost,
    wasted ? `${plural(wasted, "line")} of padding ${wasted === 1 ? "is" : "are"} not used.` : "",
  ].join(" ")
}

/** What PyTorch would refuse of the padding mode; empty if nothing. */
export function modeTrouble(layer: Layer): string {
  const mode = modeOf(layer)
  const most = { zeros: Infinity, replicate: Infinity, reflect: -1, circular: 0 }[mode]
  const bad = axesOf(layer).some(({ before, after, input }) => Math.max(before, after) > input + most)
  return bad ? `PyTorch refuses ${mode} padding that is larger than the input${most ? " less 1" : ""}.` : ""
}

/** Arithmetic of parameters and MACs as `striate show --node` writes it. */
export function arithmetic(layer: Layer) {
  const { rows, columns, channels, filters } = layer
  const { inputs, outputs, products } = cost(layer)
  return {
    conv: {
      params: `${filters}\u00b7(${rows.kernel}\u00b7${columns.kernel}\u00b7${channels}) + ${filters}`,
      macs: `${onAxes(layer, geometry.outputs).join("\u00b7")} positions \u00b7 ${plural(filters, "filter")} \u00b7 ${grouped(products)} products`,
    },
    dense: {
      params: `${inputs}\u00b7${outputs} + ${outputs}`,
      macs: `${plural(inputs, "input")} \u00b7 ${plural(outputs, "output")}`,
    },
  }
}
