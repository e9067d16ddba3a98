// A grid of cells with one position: one tab stop, moved by arrows, mouse, tap or typed numbers.
import type { ComponentChildren, JSX } from "preact"
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks"
import { clamp } from "./parts/grid"

export interface CellsProps {
  label: string
  /** What the keys do, in words. */
  help?: string
  rows: number
  columns: number
  /** Cells around it that belong to the picture, not to the grid: above, right, below, left. */
  around?: [number, number, number, number]
  at: [number, number] | null
  onMove(at: [number, number]): void
  onPreview?(at: [number, number] | null): void
  /** What stands in a cell; read out when it moves there. */
  describe(at: [number, number]): string
  names?: [string, string]
  /** Most pixels of the picture. */
  room?: [number, number]
  most?: number
  /** Without paper and lines: the marks cover the cells. */
  bare?: boolean
  /** Nothing can be chosen. */
  still?: boolean
  /** Marks in units of cells. side: pixels of a cell. */
  children?: (side: number) => ComponentChildren
  /** The picture as a whole, for the copy as SVG. */
  picture?: boolean
}

export function Cells(props: CellsProps): JSX.Element {
  const { rows, columns, at, label, names = ["row", "column"] } = props
  const [above, right, below, left] = props.around ?? [0, 0, 0, 0]
  const [most, high] = props.room ?? [420, 420]
  // What is drawn keeps its size on the screen: a cell is not made smaller by the style sheet.
  const box = useRef<HTMLDivElement>(null)
  const [room, setRoom] = useState(most)
  useLayoutEffect(() => {
    const measure = () => setRoom(Math.min(most, box.current?.clientWidth || most))
    measure()
    addEventListener("resize", measure)
    return () => removeEventListener("resize", measure)
  }, [most])
  const [wide, tall] = [columns + left + right, rows + above + below]
  const stretch = tall === 1 ? Math.max(1, Math.round(wide / 16)) : 1 // one long row is higher than wide cells
  const side = Math.min(room / wide, high / tall, props.most ?? 34)
  const lined = side >= 7
  const id = useId()
  const [said, say] = useState("")
  const place = (event: { clientX: number; clientY: number; currentTarget: EventTarget | null }): [number, number] | null => {
    const box = (event.currentTarget as SVGElement).getBoundingClientRect()
    const x = Math.floor(((event.clientX - box.left) / box.width) * wide - left)
    const y = Math.floor(((event.clientY - box.top) / box.height) * tall - above)
    return x < 0 || y < 0 || x >= columns || y >= rows ? null : [y, x]
  }
  const move = (to: [number, number]) => {
    const next: [number, number] = [clamp(to[0], rows), clamp(to[1], columns)]
    say(props.describe(next))
    props.onMove(next)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const [y, x] = at ?? [rows >> 1, columns >> 1]
    const far = Math.max(1, Math.round(Math.max(rows, columns) / 8))
    const steps: Record<string, [number, number]> = {
      ArrowUp: [y - 1, x], ArrowDown: [y + 1, x], ArrowLeft: [y, x - 1], ArrowRight: [y, x + 1],
      PageUp: [y - far, x], PageDown: [y + far, x], Home: [0, 0], End: [rows - 1, columns - 1],
    }
    const to = steps[event.key]
    if (!to || event.ctrlKey || event.metaKey || event.altKey) return
    event.preventDefault()
    move(to)
  }
  const numberField = (axis: 0 | 1) => (
    <label>
      {names[axis]}
      <input
        type="number"
        min={0}
        max={(axis ? columns : rows) - 1}
        value={(at ?? [0, 0])[axis]}
        onChange={(event) => {
          const value = Number(event.currentTarget.value)
          const to: [number, number] = [...(at ?? [0, 0])]
          to[axis] = Number.isFinite(value) ? value : 0
          move(to)
        }}
      />
    </label>
  )
  const frame = { width: `${side * wide}px`, aspectRatio: `${wide} / ${tall * stretch}` }
  const active = {
    role: "application",
    "aria-roledescription": "grid",
    "aria-describedby": `${id}-help`,
    tabIndex: 0,
    onKeyDown,
  } as const
  return (
    <div class="cells" ref={box}>
      <div class="cells-grid" aria-label={label} {...(props.still ? { role: "img" } : active)} style={frame}>
        <svg
          viewBox={`${-left} ${-above} ${wide} ${tall}`}
          preserveAspectRatio="none"
          aria-hidden="true"
          data-picture={props.picture ? "" : undefined}
          onClick={(event) => {
            const to = place(event)
            if (to && !props.still) move(to)
          }}
          onPointerMove={(event) => event.pointerType === "mouse" && props.onPreview?.(place(event))}
          onPointerLeave={() => props.onPreview?.(null)}
        >
          {!props.bare && <rect class="cells-paper" width={columns} height={rows} />}
          {lined && !props.bare && (
            <path
              class="cells-lines"
              d={
                Array.from({ length: rows + 1 }, (_, k) => `M0 ${k}H${columns}`).join("") +
                Array.from({ length: columns + 1 }, (_, k) => `M${k} 0V${rows}`).join("")
              }
            />
          )}
          {props.children?.(side)}
          <rect class="cells-frame" width={columns} height={rows} />
          {at && <rect class="cells-at" x={at[1]} y={at[0]} width={1} height={1} />}
        </svg>
      </div>
      {!props.still && (
        <>
      <p class="small" id={`${id}-help`}>
        {props.help ?? "Click or tap a cell, or move with the arrow keys; Home and End go to the first and last."}
      </p>
      <div class="cells-typed">
        {rows > 1 && numberField(0)}
        {numberField(1)}
      </div>
      <p class="said" role="status" aria-live="polite">
        {said}
      </p>
        </>
      )}
    </div>
  )
}
