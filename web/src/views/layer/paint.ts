// Colors of cells: gray for the input, blue to orange around zero for weights and sums, one map for counts.
import { hex, inkOn, mapped } from "../../palette"
import type { Paint } from "../../parts/cells"

export type Palettes = Record<string, string[]>

export const inputPaint = (value: number): Paint => ({ fill: "#808a96", opacity: (value / 3) * 0.55 })

/** most: the largest amount, which gets the full color. */
export function signedPaint(palettes: Palettes, value: number, most: number): Paint {
  const colors = palettes["signed"] ?? []
  const fill = (value < 0 ? colors[1] : colors.at(-2)) ?? "#808a96"
  return { fill, opacity: Math.round(Math.abs(value / most) * 60) / 100 }
}

/** The color of a count, and the ink on it. */
export function countColors(palettes: Palettes, count: number, most: number): { fill: string; ink: string } {
  const color = mapped(palettes["counts"] ?? ["#ffffff", "#000000"], (255 * count) / Math.max(most, 1))
  return { fill: hex(color), ink: inkOn(color) }
}
