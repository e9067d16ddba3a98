// The drawing: mouse, touch and pen draw, keys draw pixel by pixel; above it what the chosen unit reads.
import { useLayoutEffect, useRef, useState } from "preact/hooks"
import { ARROWS, clamp } from "../../parts/grid"
import type { Drawing, FieldAxis } from "../../record"
import { type Ink, type Pixels, colorsOf, ground, radiusFor, stroke } from "./pixels"

export function Canvas(props: {
  drawing: Drawing
  pixels: Pixels
  ink: Ink
  /** Receptive field of the chosen unit, rows and columns from and to (outside: padding). */
  field: { rows: [number, number]; columns: [number, number] } | undefined
  /** A picture to look at. */
  fixed?: boolean
  onDraw: (pixels: Pixels) => void
  onEnd: (pixels: Pixels) => void
}) {
  const { drawing, pixels, ink, field } = props
  const [height, width, channels] = drawing.image as [number, number, number]
  const canvas = useRef<HTMLCanvasElement>(null)
  const last = useRef<number[] | null>(null)
  const now = useRef(pixels)
  now.current = pixels
  const [cursor, setCursor] = useState<[number, number] | null>(null)
  const [said, setSaid] = useState("")

  useLayoutEffect(() => {
    canvas.current?.getContext("2d", { willReadFrequently: true })?.putImageData(colorsOf(pixels, drawing), 0, 0)
  }, [pixels, drawing])

  const draw = (next: Pixels) => {
    now.current = next
    props.onDraw(next)
  }
  function placeOf(event: PointerEvent): number[] {
    const box = (event.currentTarget as Element).getBoundingClientRect()
    return [((event.clientY - box.top) / box.height) * height, ((event.clientX - box.left) / box.width) * width]
  }
  function down(event: PointerEvent) {
    if (event.button !== 0) return
    ;(event.currentTarget as Element).setPointerCapture(event.pointerId)
    last.current = placeOf(event)
    setCursor(null)
    draw(stroke(now.current, drawing, last.current, last.current, ink, radiusFor(drawing)))
  }
  function move(event: PointerEvent) {
    if (!last.current) return
    const place = placeOf(event)
    draw(stroke(now.current, drawing, last.current, place, ink, radiusFor(drawing)))
    last.current = place
  }
  function up() {
    if (last.current) props.onEnd(now.current)
    last.current = null
  }
  function press(event: KeyboardEvent) {
    const [y, x] = cursor ?? [Math.floor(height / 2), Math.floor(width / 2)]
    const step = ARROWS[event.key]
    let [toY, toX] = [y, x]
    let result = now.current
    if (step && cursor) [toY, toX] = [clamp(y + step[0], height), clamp(x + step[1], width)]
    const isErasing = event.key === "Delete" || event.key === "Backspace"
    if (event.key === " " || isErasing || (step && event.shiftKey)) {
      const level = isErasing ? [0, 0, 0].map(() => ground(drawing)) : ink
      result = result.slice()
      for (let c = 0; c < channels; c++) result[(toY * width + toX) * channels + c] = level[c]!
      draw(result)
      props.onEnd(result)
    } else if (event.key === "Escape") {
      setCursor(null)
      return
    } else if (!step) return
    event.preventDefault()
    setCursor([toY, toX])
    const at = (toY * width + toX) * channels
    setSaid(`row ${toY} column ${toX} = ${[...result.subarray(at, at + channels)].join(" ")}`)
  }
  const unit = Math.max(height, width) / 100
  return (
    <div class="canvas" style={{ aspectRatio: `${width} / ${height}` }}>
      <canvas ref={canvas} width={width} height={height} />
      <svg
        viewBox={`0 0 ${width} ${height}`}
        {...(props.fixed
          ? { role: "img", "aria-label": `Image of ${height} by ${width} pixels`, style: { cursor: "default" } }
          : { tabindex: 0, role: "application", "aria-roledescription": "drawing", onPointerDown: down, onPointerMove: move,
              onPointerUp: up, onPointerCancel: up, onKeyDown: press, onBlur: () => setCursor(null),
              "aria-label": `Drawing of ${height} by ${width} pixels. Arrow keys move, Space draws a pixel, Delete erases it.` })}
      >
        {field && (
          <g fill="none" data-field={[...field.rows, ...field.columns].join(" ")}>
            {["#000000", "#ffd54a"].map((color, k) => (
              <rect key={color} x={field.columns[0]} y={field.rows[0]} width={field.columns[1] - field.columns[0] + 1}
                height={field.rows[1] - field.rows[0] + 1} stroke={color} stroke-width={unit * (k ? 1 : 2)} />
            ))}
          </g>
        )}
        {cursor && (
          <g fill="none">
            <rect x={cursor[1]} y={cursor[0]} width={1} height={1} stroke="#000000" stroke-width={unit * 1.6} />
            <rect x={cursor[1]} y={cursor[0]} width={1} height={1} stroke="#ffffff" stroke-width={unit * 0.8} />
          </g>
        )}
      </svg>
      <p class="hidden" aria-live="polite">{said}</p>
    </div>
  )
}

/** Rows or columns that a unit reads: from and to, both counted. */
export function fieldSpan(axis: FieldAxis | undefined, at: number, size: number): [number, number] {
  if (!axis) return [0, size - 1]
  const first = axis.start + at * axis.jump
  return [first, first + axis.size - 1]
}
