// Maps side by side: a canvas for each, with a pixel for each number, and one SVG above them for names and outlines.
import { useLayoutEffect, useRef } from "preact/hooks"
import { digits } from "../../large"
import { clamp } from "../../parts/grid"
import { useWidth } from "../../parts/width"
import { levelColors } from "../../palette"

/** A cell: number of the map, row and column. */
export interface Cell {
  map: number
  y: number
  x: number
}

/** Colors of numbers: signed ones around zero, others from zero up. */
export interface Scale {
  palette: string[]
  low: number
  high: number
}

export function scaleOf(values: ArrayLike<number>, palettes: Record<string, string[]>): Scale {
  let [low, high] = [0, 0]
  for (let k = 0; k < values.length; k++) {
    const value = values[k]!
    if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)]
  }
  const most = Math.max(-low, high)
  return low < 0
    ? { palette: palettes["signed"] ?? [], low: -most, high: most }
    : { palette: palettes["counts"] ?? [], low: 0, high }
}

/** Pixels of a name above a map, and between maps. */
const CAPTION = 17
const GAP = 8
const LEVELS = 255

interface Layout {
  columns: number
  scale: number
  tile: number
  row: number
}

function layout(width: number, count: number, high: number, wide: number, large: boolean): Layout {
  const wish = large ? 240 : count > 16 ? 72 : 104
  const fitting = Math.min(wish, width) / Math.max(high, wide)
  const scale = fitting >= 1 ? Math.min(Math.floor(fitting), 28) : fitting
  const tile = Math.max(wide * scale, 26)
  const most = Math.max(1, Math.floor((width + GAP) / (tile + GAP)))
  const columns = Math.ceil(count / Math.ceil(count / most)) // rows of equal length
  return { columns, scale, tile, row: high * scale + CAPTION + GAP }
}

export function Montage(props: {
  values: Float32Array
  count: number
  high: number
  wide: number
  scale: Scale
  /** First of the names, which are numbers. */
  first?: number
  /** Without names: cells of one map are units by themselves. */
  bare?: boolean
  at?: Cell | undefined
  pinned?: boolean
  label: string
  onCell?: (cell: Cell, pin: boolean) => void
  onLeave?: () => void
  onEscape?: () => void
}) {
  const { values, count, high, wide, scale, at, first = 0, onCell } = props
  const [element, width] = useWidth<HTMLDivElement>()
  const { columns, scale: size, tile, row } = layout(width, count, high, wide, props.bare || count === 1)
  const rows = Math.ceil(count / columns)
  const caption = props.bare ? 0 : CAPTION
  const [fullWide, fullHigh] = [columns * (tile + GAP) - GAP, rows * (row - CAPTION + caption) - GAP]
  const place = (map: number) => ({
    left: (map % columns) * (tile + GAP),
    top: Math.floor(map / columns) * (row - CAPTION + caption) + caption,
  })

  function cellOf(event: MouseEvent): Cell | undefined {
    const box = (event.currentTarget as Element).getBoundingClientRect()
    const [x, y] = [((event.clientX - box.left) / box.width) * fullWide, ((event.clientY - box.top) / box.height) * fullHigh]
    const map = Math.floor(y / (row - CAPTION + caption)) * columns + Math.min(Math.floor(x / (tile + GAP)), columns - 1)
    const { left, top } = place(map)
    const cell = (offset: number, count: number) => clamp(Math.floor(offset / size), count)
    return map >= 0 && map < count ? { map, y: cell(y - top, high), x: cell(x - left, wide) } : undefined
  }

  function press(event: KeyboardEvent) {
    if (!onCell) return
    const now = at ?? { map: 0, y: 0, x: 0 }
    const moves: Record<string, Cell> = {
      ArrowUp: { ...now, y: clamp(now.y - 1, high) },
      ArrowDown: { ...now, y: clamp(now.y + 1, high) },
      ArrowLeft: { ...now, x: clamp(now.x - 1, wide) },
      ArrowRight: { ...now, x: clamp(now.x + 1, wide) },
      PageUp: { ...now, map: clamp(now.map - 1, count) },
      PageDown: { ...now, map: clamp(now.map + 1, count) },
      Home: { ...now, y: 0, x: 0 },
      End: { ...now, y: high - 1, x: wide - 1 },
    }
    const next = moves[event.key]
    if (next) onCell(next, false)
    else if (event.key === "Enter" || event.key === " ") onCell(now, true)
    else if (event.key === "Escape") props.onEscape?.()
    else return
    event.preventDefault()
  }

  const send = (pin: boolean) => (event: MouseEvent) => {
    const cell = cellOf(event)
    if (cell) onCell?.(cell, pin)
  }
  const tiles = Array.from({ length: count }, (_, map) => map)
  const marked = at && at.map < count ? { cell: at, ...place(at.map) } : undefined
  return (
    <div ref={element} class="montage">
      <div class="montage-inner" style={{ width: `${fullWide}px`, height: `${fullHigh}px` }}>
        {tiles.map((map) => (
          <Tile key={map} {...{ values, map, high, wide, scale, size, ...place(map) }} />
        ))}
        <svg
          data-picture viewBox={`0 0 ${fullWide} ${fullHigh}`} width={fullWide} height={fullHigh}
          {...(onCell
            ? { role: "application", tabindex: 0, "aria-roledescription": "maps", onKeyDown: press, onClick: send(true),
                onMouseMove: send(false), onMouseLeave: () => props.onLeave?.() }
            : { role: "img" })}
          aria-label={props.label}
        >
          {!props.bare && tiles.map((map) => (
            <text key={map} x={place(map).left} y={place(map).top - 4} font-size="12" fill={marked?.cell.map === map ? "var(--ink)" : "var(--muted)"}
              font-weight={marked?.cell.map === map ? 700 : 400}>{first + map}</text>
          ))}
          {marked && (
            <g fill="none" pointer-events="none">
              <rect x={marked.left - 1} y={marked.top - 1} width={wide * size + 2} height={high * size + 2} stroke="var(--filter)" stroke-width="2" />
              <rect x={marked.left + marked.cell.x * size} y={marked.top + marked.cell.y * size} width={size} height={size}
                stroke="#000000" stroke-width="3" />
              <rect x={marked.left + marked.cell.x * size} y={marked.top + marked.cell.y * size} width={size} height={size}
                stroke={props.pinned ? "#ffd54a" : "#ffffff"} stroke-width="1.5" />
            </g>
          )}
        </svg>
      </div>
    </div>
  )
}

function Tile(props: {
  values: Float32Array
  map: number
  high: number
  wide: number
  scale: Scale
  size: number
  left: number
  top: number
}) {
  const { values, map, high, wide, size, left, top } = props
  const { palette, low, high: most } = props.scale
  const canvas = useRef<HTMLCanvasElement>(null)
  useLayoutEffect(() => {
    const context = canvas.current?.getContext("2d")
    if (!context) return
    const colors = levelColors(palette)
    const image = context.createImageData(wide, high)
    for (let k = 0; k < high * wide; k++) {
      const value = values[map * high * wide + k]!
      if (!Number.isFinite(value)) continue // transparent
      const level = Math.round(((value - low) / (most - low || 1)) * LEVELS)
      image.data.set(colors[Math.min(Math.max(level, 0), LEVELS)]!, 4 * k)
      image.data[4 * k + 3] = 255
    }
    context.putImageData(image, 0, 0)
  }, [values, map, high, wide, palette, low, most])
  const style = { left: `${left}px`, top: `${top}px`, width: `${wide * size}px`, height: `${high * size}px`,
    imageRendering: size < 1 ? "auto" : "pixelated" }
  return <canvas ref={canvas} width={wide} height={high} style={style} />
}

/** The colors of a scale with its numbers. */
export function Legend({ scale, label }: { scale: Scale; label: string }) {
  const { palette, low, high } = scale
  return (
    <div class="legend" role="img" aria-label={`${label}: ${digits(low)} to ${digits(high)}`}>
      <span>{digits(low)}</span>
      <span class="colors" style={{ background: `linear-gradient(to right, ${palette.join(", ")})` }} />
      <span>{digits(high)}</span>
      {low < 0 && <span class="zero">white is 0</span>}
    </div>
  )
}
