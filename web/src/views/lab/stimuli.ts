// Stimuli as patterns between -1 and 1, the same numbers as striate/probe/stimuli.py. x counts to the right and y upward
// from the center of the field; an orientation is that of the bars, counterclockwise, 0° horizontal.
import type { Slide } from "../../lab/api"

/** First and last row, and column; both counted. */
export interface Area {
  rows: [number, number]
  columns: [number, number]
}

export const KINDS = ["bar", "edge", "grating", "spot"]
export const ORIENTATIONS = 24
export const PHASES = 16
const FREQUENCIES = 8
const HIGHEST = 0.45
const SHORTEST_FIELD = 12

export const radians = (degrees: number): number => (degrees * Math.PI) / 180

const cut = (value: number, least: number, most: number) => Math.min(Math.max(value, least), most)
const covered = (distance: number, width: number) => cut(width / 2 - distance + 0.5, 0, 1)

/** Row and column of the middle of an area. */
export const middle = ({ rows, columns }: Area): [number, number] => [(rows[0] + rows[1]) / 2, (columns[0] + columns[1]) / 2]

/** A pattern on an area, row by row. field: whose center the places count from. */
function paint(area: Area, field: Area, value: (x: number, y: number) => number): Float64Array {
  const [row, column] = middle(field)
  const wide = area.columns[1] - area.columns[0] + 1
  const pattern = new Float64Array((area.rows[1] - area.rows[0] + 1) * wide)
  for (let k = 0; k < pattern.length; k++) {
    pattern[k] = value(area.columns[0] + (k % wide) - column, row - area.rows[0] - Math.floor(k / wide))
  }
  return pattern
}

/** The pattern of a stimulus that is moved by hand. */
export function slidePattern(slide: Slide, area: Area, field: Area): Float64Array {
  const { kind, width, length = Infinity } = slide
  const direction = radians(slide.orientation) - Math.PI / 2
  const [cos, sin] = [Math.cos(direction), Math.sin(direction)]
  const sign = slide.dark ? -1 : 1
  return paint(area, field, (right, up) => {
    const [x, y] = [right - slide.x, up - slide.y]
    const along = cos * x + sin * y
    if (kind === "edge") return sign * cut(2 * along, -1, 1)
    if (kind === "grating") return sign * Math.cos((Math.PI / width) * along)
    if (kind === "spot") return sign * covered(Math.hypot(x, y), width)
    return sign * covered(Math.abs(along), width) * covered(Math.abs(cos * y - sin * x), length)
  })
}

/** The pattern of a grating of the protocol: orientation and phase in radians, frequency in cycles per pixel. */
export function gratingPattern(orientation: number, frequency: number, phase: number, area: Area, field: Area): Float64Array {
  const direction = orientation - Math.PI / 2
  const [cos, sin] = [Math.cos(direction), Math.sin(direction)]
  const cycles = frequency * (2 * Math.PI)
  return paint(area, field, (x, y) => Math.cos(cycles * (cos * x + sin * y) - phase))
}

/** Spatial frequencies of the protocol for a field, in cycles per pixel. */
export function ladder({ rows, columns }: Area): number[] {
  const lowest = 1 / Math.max(rows[1] - rows[0] + 1, columns[1] - columns[0] + 1, SHORTEST_FIELD)
  return Array.from({ length: FREQUENCIES }, (_, k) => lowest * (HIGHEST / lowest) ** (k / (FREQUENCIES - 1)))
}
