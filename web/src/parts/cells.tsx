// A grid of equal cells: colors, numbers, lines, and what a pointer touches. All as SVG, so that it can be saved.
import { useMemo } from "preact/hooks"
import { dataOf, rgb } from "../palette"
import { cellUnder } from "./grid"

/** A cell's color; opacity lets the paper through, so that one color suits light and dark. */
export interface Paint {
  fill: string
  opacity: number
}

/** Where a grid stands: its upper left corner, the side of a cell, rows and columns. */
export interface Box {
  x: number
  y: number
  side: number
  rows: number
  columns: number
}

/** More cells than this become an image of one pixel each. */
const MOST_VECTORS = 1600
/** The least side of a cell that is ruled. */
const RULED = 5
const SMALLEST_TEXT = 12
const LARGEST_TEXT = 17

const width = ({ side, columns }: Box) => side * columns
const height = ({ side, rows }: Box) => side * rows

/** The colored cells. paint is asked again when `about` changes. */
export function Cells({ box, paint, about }: { box: Box; paint: (i: number, j: number) => Paint | undefined; about: string }) {
  const { x, y, side, rows, columns } = box
  return useMemo(() => {
    if (rows * columns > MOST_VECTORS) {
      const href = pixels(rows, columns, paint)
      return (
        <image x={x} y={y} width={width(box)} height={height(box)} href={href} preserveAspectRatio="none" class="cells" />
      )
    }
    const paths = new Map<string, { paint: Paint; d: string }>()
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        const one = paint(i, j)
        if (!one?.opacity) continue
        const key = `${one.fill} ${one.opacity}`
        const held = paths.get(key) ?? { paint: one, d: "" }
        held.d += `M${fixed(x + j * side)} ${fixed(y + i * side)}h${side}v${side}h-${side}z`
        paths.set(key, held)
      }
    return (
      <g>
        {[...paths.values()].map((one) => (
          <path key={`${one.paint.fill}${one.paint.opacity}`} d={one.d} fill={one.paint.fill} fill-opacity={one.paint.opacity} />
        ))}
      </g>
    )
  }, [x, y, side, rows, columns, about])
}

const fixed = (value: number) => Math.round(value * 100) / 100

/** The cells as an image of one pixel each, an address of the scheme `data:`. */
export function pixels(rows: number, columns: number, paint: (i: number, j: number) => Paint | undefined): string {
  return dataOf(rows, columns, (i, j) => {
    const one = paint(i, j)
    return one && [...rgb(one.fill), Math.round(255 * one.opacity)]
  })
}

/** Numbers in the cells, if they are legible at this size. */
export function Numbers({ box, text, about, color }: {
  box: Box
  text: (i: number, j: number) => string
  about: string
  /** Color of a number, if it is not the ink. */
  color?: (i: number, j: number) => string
}) {
  const { x, y, side, rows, columns } = box
  return useMemo(() => {
    if (side < 15) return null
    const texts = Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => text(i, j)))
    const longest = Math.max(1, ...texts.flat().map((one) => one.length))
    const set = Math.min(LARGEST_TEXT, Math.max(side * 0.5, SMALLEST_TEXT), (side - 1) / (longest * 0.58))
    if (set < SMALLEST_TEXT) return null
    return (
      <g class="numbers" font-size={fixed(set)} text-anchor="middle" aria-hidden="true">
        {texts.flatMap((line, i) =>
          line.map((one, j) =>
            one ? (
              <text
                key={`${i},${j}`}
                x={fixed(x + (j + 0.5) * side)}
                y={fixed(y + (i + 0.5) * side + set * 0.36)}
                style={color && { fill: color(i, j) }}
              >
                {one}
              </text>
            ) : null,
          ),
        )}
      </g>
    )
  }, [x, y, side, rows, columns, about])
}

/** The lines between cells. */
export function Lines({ box }: { box: Box }) {
  const { x, y, side, rows, columns } = box
  if (side < RULED) return null
  let d = ""
  for (let j = 1; j < columns; j++) d += `M${x + j * side} ${y}v${height(box)}`
  for (let i = 1; i < rows; i++) d += `M${x} ${y + i * side}h${width(box)}`
  return <path d={d} class="lines" />
}

/** Takes a pointer over a grid: the cell under it. Hover is a mouse's alone; a tap and a click pick. */
export function Hit({ box, onHover, onPick }: {
  box: Box
  onHover(cell: [number, number] | undefined): void
  onPick(cell: [number, number]): void
}) {
  const cell = (event: MouseEvent) => cellUnder(event, box.rows, box.columns)
  return (
    <rect
      x={box.x}
      y={box.y}
      width={width(box)}
      height={height(box)}
      class="hit"
      data-hit
      onPointerMove={(event) => event.pointerType === "mouse" && onHover(cell(event))}
      onPointerLeave={() => onHover(undefined)}
      onClick={(event) => onPick(cell(event))}
    />
  )
}
