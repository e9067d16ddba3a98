// The screen: the stimulus as the network is shown it, the unit's field, marks; a pointer or keys move the stimulus.
import type { ComponentChildren } from "preact"
import type { Slide } from "../../lab/api"
import { ARROWS, useLayoutEffect, useRef, useWidth } from "../../shared"
import { type Cell, fieldOf, origin } from "./cell"
import { radians, slidePattern } from "./stimuli"

/** What was seen where, in pixels from the upper left corner of the screen: excited, inhibited, or neither. */
export interface Mark {
  x: number
  y: number
  sign: "+" | "-" | "0"
}

const LEAST_WIDTH = 0.5
/** Radius of a mark and of the handle, and how near a pointer must come to it, in pixels of the page. */
const MARK_PX = 6
const HANDLE_PX = 8
const NEAR_PX = 22

export const turned = (degrees: number): number => ((degrees % 360) + 360) % 360

interface Props {
  cell: Cell
  slide: Slide
  color: string
  marks: Mark[]
  label: string
  move(slide: Slide): void
  /** After the last of several moves. */
  end(): void
  mark(): void
  unmark(): void
}

/** Red, green and blue of a pattern, as shares of the luminance's amplitude. */
function colorOf({ screen }: Cell, color: string): number[] {
  const [one, base] = [screen.colors[color], Object.values(screen.colors)[0]!]
  return [0, 1, 2].map((k) => (base.length === 3 && one ? one[k]! / base[k]! : 1))
}

export function Screen(props: Props) {
  const { cell, slide, color, marks, move } = props
  const { height, width } = cell.screen
  const canvas = useRef<HTMLCanvasElement>(null)
  const turning = useRef<boolean | undefined>(undefined)
  const [box, wide] = useWidth<HTMLDivElement>(400)
  const field = fieldOf(cell.place)
  const start = origin(cell.place)
  const [x, y] = [start.x + slide.x, start.y - slide.y]
  const pixel = width / wide // of the page, in pixels of the screen
  const angle = radians(slide.orientation)
  const reach = Math.max(34 * pixel, Math.min(height, width) * 0.18)
  const [right, down] = [Math.cos(angle) * reach, -Math.sin(angle) * reach]

  useLayoutEffect(() => {
    const context = canvas.current?.getContext("2d")
    if (!context) return
    const pattern = slidePattern(slide, { rows: [0, height - 1], columns: [0, width - 1] }, field)
    const parts = colorOf(cell, color)
    const image = context.createImageData(width, height)
    pattern.forEach((value, k) => {
      parts.forEach((part, c) => (image.data[4 * k + c] = 127.5 + 127.5 * part * value))
      image.data[4 * k + 3] = 255
    })
    context.putImageData(image, 0, 0)
  }, [slide, color, cell])

  function placeOf(event: PointerEvent): [number, number] {
    const area = (event.currentTarget as Element).getBoundingClientRect()
    return [((event.clientX - area.left) / area.width) * width, ((event.clientY - area.top) / area.height) * height]
  }
  function follow(event: PointerEvent) {
    const [toX, toY] = placeOf(event)
    if (turning.current) {
      const degrees = (Math.atan2(y - toY, toX - x) * 180) / Math.PI
      move({ ...slide, orientation: Math.round(turned(degrees)) % 360 })
    } else move({ ...slide, x: rounded(toX - start.x), y: rounded(start.y - toY) })
  }
  function down_(event: PointerEvent) {
    if (event.button !== 0) return
    ;(event.currentTarget as Element).setPointerCapture(event.pointerId)
    const [toX, toY] = placeOf(event)
    turning.current = event.shiftKey || (slide.kind !== "spot" && Math.hypot(toX - x - right, toY - y - down) < NEAR_PX * pixel)
    if (!turning.current || event.shiftKey) follow(event)
  }
  function up() {
    if (turning.current === undefined) return
    turning.current = undefined
    props.end()
  }
  function press(event: KeyboardEvent) {
    if (event.metaKey || (event.ctrlKey && !event.altKey)) return // with both it is AltGr, which types brackets
    const step = ARROWS[event.key]
    const turn = { "[": 5, "]": -5, "{": 1, "}": -1 }[event.key]
    const wider = { "+": 0.5, "=": 0.5, "-": -0.5, _: -0.5 }[event.key]
    if (step) move({ ...slide, x: slide.x + step[1] * (event.shiftKey ? 5 : 1), y: slide.y - step[0] * (event.shiftKey ? 5 : 1) })
    else if (turn) move({ ...slide, orientation: turned(slide.orientation + turn) })
    else if (wider) move({ ...slide, width: Math.max(LEAST_WIDTH, slide.width + wider) })
    else if (event.key === " ") move({ ...slide, dark: 1 - slide.dark })
    else if (event.key === "Home") move({ ...slide, x: 0, y: 0 })
    else if (event.key === "Enter") props.mark()
    else if (event.key === "Backspace" || event.key === "Delete") props.unmark()
    else return
    event.preventDefault()
  }
  return (
    <div class="screen" ref={box} style={{ aspectRatio: `${width} / ${height}` }}>
      <canvas ref={canvas} width={width} height={height} style={{ left: "0", top: "0", width: `${width}px`, height: `${height}px` }} />
      <svg
        data-picture viewBox={`0 0 ${width} ${height}`} tabIndex={0} role="application" aria-roledescription="screen"
        aria-label={props.label} aria-describedby="striate-keys" onPointerDown={down_} onPointerMove={(event) => turning.current !== undefined && follow(event)}
        onPointerUp={up} onPointerCancel={up} onKeyDown={press} onBlur={props.end}
      >
        <Twice>
          <rect data-field={[...field.rows, ...field.columns].join(" ")} x={field.columns[0]} y={field.rows[0]}
            width={field.columns[1] - field.columns[0] + 1} height={field.rows[1] - field.rows[0] + 1} />
        </Twice>
        {marks.map((one, k) => (
          <Twice key={k} white>
            <path data-mark={one.sign} d={sign(one, MARK_PX * pixel)} />
          </Twice>
        ))}
        {slide.kind !== "spot" && (
          <Twice dashed>
            <path d={`M${x - right} ${y - down}L${x + right} ${y + down}`} />
          </Twice>
        )}
        {slide.kind !== "spot" && <circle class="handle" data-handle cx={x + right} cy={y + down} r={HANDLE_PX * pixel} />}
      </svg>
    </div>
  )
}

const rounded = (value: number) => Math.round(value * 10) / 10

const sign = ({ x, y, sign }: Mark, size: number): string =>
  sign === "0" ? `M${x} ${y}h0.001` : `M${x - size} ${y}h${2 * size}${sign === "+" ? `M${x} ${y - size}v${2 * size}` : ""}`

/** Lines that are seen on every ground: dark ones with bright ones inside. */
function Twice({ children, white, dashed }: { children: ComponentChildren; white?: boolean; dashed?: boolean }) {
  return (
    <>
      <g class="under">{children}</g>
      <g class={white ? "over white" : "over"} stroke-dasharray={dashed ? "5 4" : undefined} aria-hidden="true">{children}</g>
    </>
  )
}
