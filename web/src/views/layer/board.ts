// Where the planes of a layer stand, at one scale: a row of input, filter and sums for each channel, then the output.
import * as geometry from "../../geometry"
import type { Axis } from "../../geometry"
import type { Box } from "../../parts/cells"
import type { Layer } from "./model"

/** Channels that get a row; the others are only told. */
export const SHOWN_CHANNELS = 3
const LARGEST_CELL = 40
/** A side at which a sign and two digits are legible. */
const LEGIBLE = 23
/** Height up to which rows of channels stay legible, and that of rows too small for numbers. */
const TALLEST = 1000
const COMPACT = 560
const LEAST_ROW = 90
export const TITLE = 44
const LABEL = 20
const BETWEEN_ROWS = 16

export interface Board {
  width: number
  height: number
  side: number
  /** Padded input of each shown channel, its filter slice and its partial sums. */
  inputs: Box[]
  filters: Box[]
  partials: Box[]
  output: Box
  /** Channels of the output that are drawn behind it. */
  behind: number
  narrow: boolean
  /** Whether the output stands under the rows. */
  stacked: boolean
  /** Gaps for the signs. */
  gaps: { times: number; equals: number; bias: number }
  /** y below the rows of channels. */
  bottom: number
}

/** Cells by which the next window, for which no room is left, would stand out. */
export const overshoot = (axis: Axis): number => {
  const room = geometry.room(axis)
  if (room < 0) return -room
  return geometry.remainder(axis) ? axis.stride - geometry.remainder(axis) : 0
}

export function board(layer: Layer, width: number): Board {
  const { rows, columns } = layer
  const shown = Math.min(layer.channels, SHOWN_CHANNELS)
  const size = { rows: geometry.outputs(rows), columns: geometry.outputs(columns) }
  const none = !size.rows || !size.columns
  const padded = { rows: rows.before + rows.input + rows.after, columns: columns.before + columns.input + columns.after }
  const drawn = { rows: padded.rows + overshoot(rows), columns: padded.columns + overshoot(columns) }
  const sums = layer.channels > 1 && !none
  const narrow = width < 560
  const gaps = narrow ? { times: 26, equals: sums ? 26 : 84, bias: 84 } : { times: 40, equals: sums ? 40 : 84, bias: 92 }
  const least = narrow ? 70 : 110
  const behind = none ? 0 : Math.min(layer.filters - 1, 3)

  const parts = (side: number) => ({
    input: Math.max(drawn.columns * side, least),
    filter: Math.max(columns.kernel * side, least),
    sums: sums ? Math.max(size.columns * side, least) : 0,
    output: Math.max(none ? 110 : size.columns * side, least) + 5 * behind,
  })
  const across = (side: number, stacked: boolean): number => {
    const { input, filter, sums: summed, output } = parts(side)
    const row = input + gaps.times + filter + (sums ? gaps.equals + summed : 0)
    return stacked ? Math.max(row, output) : row + (sums ? gaps.bias : gaps.equals) + output
  }
  const rowCells = Math.max(drawn.rows, rows.kernel, sums ? size.rows : 0)
  const down = (side: number) => shown * (rowCells * side + LABEL + BETWEEN_ROWS)
  const tooTall = (side: number) =>
    down(side) > (side === LEGIBLE ? TALLEST : COMPACT) && side * rowCells > LEAST_ROW
  const largest = (stacked: boolean): number => {
    let side = LARGEST_CELL
    const smaller = () => (side > 6 ? side - 1 : Math.round((side - (side > 1 ? 0.1 : 0.02)) * 100) / 100)
    while (side > 0.05 && (across(side, stacked) > width || tooTall(side))) side = smaller()
    return side
  }
  const flat = largest(false)
  const piled = largest(true)
  const stacked = flat < LEGIBLE && flat < 0.9 * piled
  const side = stacked ? piled : flat
  const own = parts(side)

  const result: Board = {
    width: Math.max(across(side, stacked), 1),
    height: 0,
    side,
    inputs: [],
    filters: [],
    partials: [],
    output: { x: 0, y: 0, side, ...size },
    behind,
    narrow,
    stacked,
    gaps,
    bottom: 0,
  }
  const label = layer.channels > 1 ? LABEL : 0
  const rowHeight = rowCells * side
  let y = TITLE
  const middle = (cells: number) => y + label + (rowHeight - cells * side) / 2
  const filterX = own.input + gaps.times
  const sumsX = filterX + own.filter + gaps.equals
  for (let channel = 0; channel < shown; channel++) {
    result.inputs.push({ x: 0, y: middle(drawn.rows), side, ...padded })
    result.filters.push({ x: filterX, y: middle(rows.kernel), side, rows: rows.kernel, columns: columns.kernel })
    if (sums) result.partials.push({ x: sumsX, y: middle(size.rows), side, ...size })
    y += label + rowHeight + BETWEEN_ROWS
  }
  result.bottom = y
  if (layer.channels > shown) y += 20
  const high = none ? 60 : size.rows * side
  const center = TITLE + (result.bottom - BETWEEN_ROWS - TITLE) / 2
  result.output.x = stacked ? 0 : sumsX + (sums ? own.sums + gaps.bias : 0)
  result.output.y = stacked ? y + TITLE + 5 * behind + 8 : Math.max(center - high / 2, TITLE + 5 * behind)
  result.height = Math.max(y, result.output.y + high) + 4
  return result
}
