// The confusion matrix: one tab stop; arrows walk, Enter or a click shows only the images of a cell.
import { useEffect, useRef } from "preact/hooks"
import { shorten } from "../../large"
import { inkOn, mapped, type Rgb } from "../../palette"
import { ARROWS, cellUnder, clamp } from "../../parts/grid"
import type { Evaluation } from "../../record"

/** Classes up to which cells hold their counts, and up to which rows and columns hold their names. */
const MAX_NUMBERED = 16
const MAX_NAMED = 30

const MAX_NAME_LENGTH = 10

export interface Cell {
  row: number
  column: number
}

export function Matrix(props: {
  evaluation: Evaluation
  palette: string[]
  at: Cell
  pinned: boolean
  onCell: (cell: Cell, pin: boolean) => void
}) {
  const { evaluation, at, palette } = props
  const { classes, confusion_matrix: matrix } = evaluation
  const count = classes.length
  const side = Math.max(6, Math.min(36, Math.floor(560 / count)))
  const canvas = useRef<HTMLCanvasElement>(null)
  const totals = matrix.map((row) => row.reduce((sum, value) => sum + value, 0))
  // The root of the share in its row: a few mistakes among many images are seen.
  const colorOf = (value: number, row: number): Rgb => mapped(palette, 255 * Math.sqrt(value / Math.max(totals[row] ?? 0, 1)))

  useEffect(() => {
    const context = canvas.current?.getContext("2d")
    if (!context) return
    const image = context.createImageData(count, count)
    matrix.forEach((row, i) =>
      row.forEach((value, j) => {
        image.data.set([...colorOf(value, i), 255], 4 * (i * count + j))
      }),
    )
    context.putImageData(image, 0, 0)
  }, [matrix, palette])

  function cellOf(event: MouseEvent): Cell {
    const [row, column] = cellUnder(event, count, count)
    return { row, column }
  }

  function move(event: KeyboardEvent) {
    const step = ARROWS[event.key]
    if (step) {
      props.onCell({ row: clamp(at.row + step[0], count), column: clamp(at.column + step[1], count) }, false)
    } else if (event.key === "Enter" || event.key === " ") props.onCell(at, true)
    else return
    event.preventDefault()
  }

  const named = count <= MAX_NAMED
  const left = named ? 76 : 0
  const top = named ? 70 : 0
  return (
    <div class="matrix scroll">
      <p class="axis-name">rows: true class; columns: predicted class</p>
      <div class="matrix-inner" style={{ width: `${left + count * side + (named ? 40 : 0)}px`, paddingLeft: `${left}px`, paddingTop: `${top}px` }}>
        {named && (
          <svg class="names" width={left + count * side + 40} height={top + count * side} aria-hidden="true">
            {classes.map((name, k) => (
              <g key={name} fill={k === at.row || k === at.column ? "var(--ink)" : "var(--muted)"} font-size="12">
                <text x={left - 6} y={top + (k + 0.5) * side + 4} text-anchor="end">{shorten(name, MAX_NAME_LENGTH)}</text>
                <text transform={`translate(${left + (k + 0.5) * side + 4} ${top - 6}) rotate(-50)`}>{shorten(name, MAX_NAME_LENGTH)}</text>
              </g>
            ))}
          </svg>
        )}
        <div
          class="cells"
          tabIndex={0}
          role="application"
          aria-roledescription="confusion matrix"
          aria-label={`${count} true classes by ${count} predicted classes. Arrow keys move, Enter shows the images.`}
          onKeyDown={move}
          onMouseMove={(event) => props.onCell(cellOf(event), false)}
          onClick={(event) => props.onCell(cellOf(event), true)}
          style={{ width: `${count * side}px`, height: `${count * side}px` }}
        >
          <canvas ref={canvas} width={count} height={count} />
          <svg viewBox={`0 0 ${count * side} ${count * side}`} aria-hidden="true">
            {count <= MAX_NUMBERED &&
              matrix.map((row, i) =>
                row.map((value, j) =>
                  value ? (
                    <text
                      key={`${i} ${j}`}
                      x={(j + 0.5) * side}
                      y={(i + 0.5) * side + 4}
                      text-anchor="middle"
                      font-size={Math.min(12, side / 2.4)}
                      fill={inkOn(colorOf(value, i))}
                    >
                      {value}
                    </text>
                  ) : null,
                ),
              )}
            <rect
              x={at.column * side + 1}
              y={at.row * side + 1}
              width={side - 2}
              height={side - 2}
              fill="none"
              stroke="var(--window)"
              stroke-width={props.pinned ? 3 : 1.5}
            />
          </svg>
        </div>
      </div>
    </div>
  )
}
