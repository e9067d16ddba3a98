// Curves of one measure over epochs: one tab stop; arrows, mouse and finger choose an epoch.
import type { RunCurves } from "../../record"
import { shorten } from "../../large"
import { clamp } from "../../parts/grid"
import { useWidth } from "../../parts/width"

export interface Curve {
  name: string
  color: string
  dashed: boolean
  run: RunCurves
  values: (number | null)[]
}

/** Lengths in pixels. */
const HEIGHT = 220
const LEFT = 52
const LABELS = 118
/** A narrower chart has no names at the ends of its curves: the colors of the values below name them. */
const MAX_UNLABELED_WIDTH = 460
const TOP = 10
const BOTTOM = 30
const LABEL_LINE = 15

const MAX_NAME_LENGTH = 17

/** Values from which a loss is drawn on a logarithmic axis: the largest over the least. */
const LOG_MIN_RATIO = 20

/** Round numbers that cover the values, about four of them. */
export function ticks(low: number, high: number, count = 4): number[] {
  const raw = (high - low || Math.abs(high) || 1) / count
  const power = 10 ** Math.floor(Math.log10(raw))
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= raw) ?? 10)
  const first = Math.floor(low / step + 1e-9)
  const last = Math.ceil(high / step - 1e-9)
  return Array.from({ length: last - first + 1 }, (_, k) => Number(((first + k) * step).toPrecision(12)))
}

function logTicks(low: number, high: number): number[] {
  const first = Math.floor(Math.log10(low))
  const last = Math.max(Math.ceil(Math.log10(high)), first + 1)
  return Array.from({ length: last - first + 1 }, (_, k) => 10 ** (first + k))
}

/** Places of labels, each at least a line from the one above it. */
function separate(wanted: number[], low: number, high: number): number[] {
  const order = wanted.map((_, k) => k).sort((a, b) => (wanted[a] ?? 0) - (wanted[b] ?? 0))
  const places = [...wanted]
  let above = low - LABEL_LINE
  for (const k of order) {
    places[k] = Math.max(places[k] ?? 0, above + LABEL_LINE)
    above = places[k] ?? 0
  }
  const past = Math.max(0, above - high)
  return places.map((place) => place - past)
}

export function Chart(props: {
  title: string
  share: boolean
  curves: Curve[]
  epochs: number
  at: number
  best: { run: RunCurves; color: string }[]
  onEpoch: (epoch: number, pin: boolean) => void
}) {
  const { title, share, curves, epochs, at } = props
  const [figure, width] = useWidth<HTMLElement>()
  const wide = width > MAX_UNLABELED_WIDTH
  const right = wide ? LABELS : 16
  const values = curves.flatMap((curve) => curve.values.filter((value): value is number => value !== null))
  const low = Math.min(...values)
  const high = Math.max(...values)
  const log = !share && low > 0 && high / low >= LOG_MIN_RATIO
  const marks = share ? ticks(Math.min(low, 0.9), 1) : log ? logTicks(low, high) : ticks(Math.min(low, high * 0.5), high)
  const bottom = marks[0] ?? 0
  const top = marks[marks.length - 1] ?? 1
  const scale = (value: number) => (log ? Math.log10(value) : value)
  const x = (epoch: number) => LEFT + ((epoch - 1) / Math.max(epochs - 1, 1)) * (width - LEFT - right)
  const y = (value: number) =>
    TOP + (1 - (scale(value) - scale(bottom)) / (scale(top) - scale(bottom))) * (HEIGHT - TOP - BOTTOM)
  const ends = curves.map((curve) => {
    const last = curve.values.reduce<number>((end, value, k) => (value === null ? end : k), 0)
    return { x: x(curve.run.epochs[last] ?? 1), y: y(curve.values[last] ?? bottom) }
  })
  const labels = separate(ends.map((end) => end.y), TOP + 6, HEIGHT - BOTTOM)
  const resumed = [...new Set(curves.flatMap((curve) => curve.run.resumed))]
  const across = epochTicks(epochs, wide ? 10 : 5)

  function epochOf(event: MouseEvent): number {
    const svg = event.currentTarget as SVGSVGElement
    const box = svg.getBoundingClientRect()
    const place = ((event.clientX - box.left) / box.width) * width
    return 1 + clamp(Math.round(((place - LEFT) / (width - LEFT - right)) * Math.max(epochs - 1, 1)), epochs)
  }

  return (
    <figure class="chart" ref={figure}>
      <figcaption>{title}</figcaption>
      <svg
        viewBox={`0 0 ${width} ${HEIGHT}`}
        role="img"
        aria-label={`${title}: ${curves.map((curve) => curve.name).join(", ")}; ${epochs} epochs`}
        data-picture="training"
        onMouseMove={(event) => props.onEpoch(epochOf(event), false)}
        onClick={(event) => props.onEpoch(epochOf(event), true)}
      >
        {marks.map((mark) => (
          <g key={mark}>
            <line x1={LEFT} x2={width - right} y1={y(mark)} y2={y(mark)} stroke="var(--faint)" />
            <text x={LEFT - 6} y={y(mark) + 4} text-anchor="end" font-size="12" fill="var(--muted)">
              {share ? `${Number((mark * 100).toPrecision(6))}%` : short(mark)}
            </text>
          </g>
        ))}
        {across.map((epoch) => (
          <text key={epoch} x={x(epoch)} y={HEIGHT - 10} text-anchor="middle" font-size="12" fill="var(--muted)">
            {epoch}
          </text>
        ))}
        {wide && <text x={width - right + 10} y={HEIGHT - 10} font-size="12" fill="var(--muted)">epoch</text>}
        {resumed.map((epoch) => (
          <line key={epoch} x1={x(epoch - 0.5)} x2={x(epoch - 0.5)} y1={TOP} y2={HEIGHT - BOTTOM} stroke="var(--line)">
            <title>{`continued in epoch ${epoch}`}</title>
          </line>
        ))}
        <line x1={x(at)} x2={x(at)} y1={TOP} y2={HEIGHT - BOTTOM} stroke="var(--line)" stroke-dasharray="3 3" />
        {curves.map((curve, k) => (
          <g key={curve.name}>
            {segments(curve, x, y).map((d) => (
              <path
                key={d}
                d={d}
                fill="none"
                stroke={curve.color}
                stroke-width="2"
                stroke-dasharray={curve.dashed ? "5 4" : undefined}
                stroke-linejoin="round"
              />
            ))}
            {curve.run.epochs.length === 1 && <circle cx={ends[k]?.x} cy={ends[k]?.y} r="3.5" fill={curve.color} />}
            {valueAt(curve, at) !== null && (
              <circle cx={x(at)} cy={y(valueAt(curve, at) as number)} r="4" fill="var(--paper)" stroke={curve.color} stroke-width="2" />
            )}
            {wide && (
              <text x={width - right + 10} y={(labels[k] ?? 0) + 4} font-size="12" fill={curve.color}>
                {shorten(curve.name, MAX_NAME_LENGTH)}
              </text>
            )}
          </g>
        ))}
        {props.best.map(({ run, color }) => {
          const curve = curves.find((one) => one.run === run && !one.dashed)
          const value = curve && run.best_epoch !== null ? valueAt(curve, run.best_epoch) : null
          return (
            value !== null && (
              <circle key={run.name} cx={x(run.best_epoch ?? 1)} cy={y(value)} r="6" fill="none" stroke={color} stroke-width="2">
                <title>{`best epoch ${run.best_epoch}`}</title>
              </circle>
            )
          )
        })}
      </svg>
    </figure>
  )
}

export function valueAt(curve: Curve, epoch: number): number | null {
  const place = curve.run.epochs.indexOf(epoch)
  return place < 0 ? null : (curve.values[place] ?? null)
}

/** The curve as paths: a value that is not finite interrupts it. */
function segments(curve: Curve, x: (epoch: number) => number, y: (value: number) => number): string[] {
  const paths: string[] = []
  let path = ""
  curve.values.forEach((value, k) => {
    if (value === null) {
      if (path) paths.push(path)
      path = ""
    } else {
      path += `${path ? "L" : "M"}${x(curve.run.epochs[k] ?? 1).toFixed(1)} ${y(value).toFixed(1)}`
    }
  })
  return path ? [...paths, path] : paths
}

function epochTicks(epochs: number, most: number): number[] {
  if (epochs <= most) return Array.from({ length: epochs }, (_, k) => k + 1)
  const step = Math.max(1, ticks(0, epochs, most - 2)[1] ?? 1)
  return [1, ...Array.from({ length: Math.floor(epochs / step) }, (_, k) => (k + 1) * step)].filter(
    (epoch) => epoch === 1 || epoch >= step * 0.6,
  )
}

const short = (value: number) =>
  value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6) ? value.toExponential(0) : String(Number(value.toPrecision(6)))
