// Small numbers for a layer: those of striate/views/drawing/example.py, and what the layer makes of them.
import * as geometry from "../../geometry"
import { type Layer, onAxes } from "./model"

export const inputNumber = (i: number, j: number, channel = 0): number =>
  ((3 * i + 5 * j + i * j + channel * (2 * i + 3 * j + 1)) % 7) % 4

export const weight = (u: number, v: number, channel = 0, filter = 0): number =>
  ((u + 2 * v + 2 + channel * (1 + u) + filter * (1 + v + channel) + Math.floor(filter / 3) * (u * v + 1)) % 3) - 1

export const bias = (filter: number): number => 1 - (filter % 3)

/** Products of a whole map up to which it is computed; beyond, only single numbers are. */
const MOST_PRODUCTS = 2e7

/** The number that stands at a position of the padded input. */
export function paddedNumber({ rows, columns }: Layer, channel: number, row: number, column: number): number {
  const y = geometry.fold(row, rows.input, rows.mode)
  const x = geometry.fold(column, columns.input, columns.mode)
  return y === undefined || x === undefined ? 0 : inputNumber(y, x, channel)
}

/** What each tap of window (i, j) reads of a channel and its weight, and whether it reads padding. */
export function products(layer: Layer, filter: number, channel: number, i: number, j: number) {
  const [down, across] = onAxes(layer, (axis, k) => Array.from({ length: axis.kernel }, (_, u) => geometry.raw(axis, k ? j : i, u)))
  return down.flatMap((row, u) =>
    across.map((column, v) => ({
      input: paddedNumber(layer, channel, row, column),
      weight: weight(u, v, channel, filter),
      padding: row < 0 || column < 0 || row >= layer.rows.input || column >= layer.columns.input,
    })),
  )
}

/** Sum of one channel's products. */
export const partial = (layer: Layer, filter: number, channel: number, i: number, j: number): number =>
  products(layer, filter, channel, i, j).reduce((sum, one) => sum + one.input * one.weight, 0)

/** One number of the output: the sum over the full depth, plus bias. */
export function output(layer: Layer, filter: number, i: number, j: number): number {
  let sum = bias(filter)
  for (let channel = 0; channel < layer.channels; channel++) sum += partial(layer, filter, channel, i, j)
  return sum
}

export type Plane = number[][]

/** A channel of the output, or the part that one channel of the input gives it; undefined where that is too much to compute. */
export function plane(layer: Layer, filter: number, channel?: number, most = MOST_PRODUCTS): Plane | undefined {
  const { rows, columns } = layer
  const [high, wide] = onAxes(layer, geometry.outputs)
  const depth = channel === undefined ? layer.channels : 1
  if (high * wide * depth * rows.kernel * columns.kernel > most) return undefined
  const start = channel === undefined ? bias(filter) : 0
  const sums: Plane = Array.from({ length: high }, () => new Array<number>(wide).fill(start))
  const [down, across] = onAxes(layer, (axis) =>
    Array.from({ length: axis.kernel }, (_, u) => Array.from({ length: geometry.outputs(axis) }, (_, i) => geometry.place(axis, i, u) ?? -1)),
  )
  for (let at = channel ?? 0; at < (channel ?? 0) + depth; at++)
    down.forEach((ys, u) =>
      across.forEach((xs, v) => {
        const factor = weight(u, v, at, filter)
        if (!factor) return
        sums.forEach((line, i) => {
          const y = ys[i] ?? -1
          if (y < 0) return
          xs.forEach((x, j) => {
            if (x >= 0) line[j] = (line[j] ?? 0) + factor * inputNumber(y, x, at)
          })
        })
      }),
    )
  return sums
}

/** The largest amount of a plane, at least 1. */
export const mostOf = (plane: Plane | undefined): number => {
  let most = 1
  for (const line of plane ?? []) for (const value of line) most = Math.max(most, Math.abs(value))
  return most
}
