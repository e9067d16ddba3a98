// Curves of responses.
import { digits } from "../../shared"

const WIDTH = 340
const HEIGHT = 190
const [LEFT, TOP, BOTTOM] = [8, 22, 24]

export interface Line {
  points: [number, number][]
  kind: "first" | "second"
}

/** Lines over a range of x. marks: named places of x; ticks: numbers below. */
export function Chart(props: {
  label: string
  lines: Line[]
  from: number
  to: number
  ticks: number[]
  unit: string
  marks?: { at: number; name: string; kind: "first" | "second" }[]
  /** y of a line that stands for the blank screen */
  blank?: number
  dot?: [number, number] | undefined
}) {
  const { lines, from, to } = props
  const values = [0, props.blank ?? 0, ...lines.flatMap(({ points }) => points.map(([, y]) => y))]
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const x = (value: number) => LEFT + ((value - from) / (to - from || 1)) * (WIDTH - 2 * LEFT)
  const y = (value: number) => HEIGHT - BOTTOM - ((value - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM)
  return (
    <svg class="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={props.label}>
      <path class="axis" d={`M${LEFT} ${y(0)}H${WIDTH - LEFT}`} />
      {props.blank !== undefined && <path class="axis" stroke-dasharray="2 3" d={`M${LEFT} ${y(props.blank)}H${WIDTH - LEFT}`} />}
      {lines.map(({ points, kind }) => (
        <polyline key={kind} class={kind} points={points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" ")} />
      ))}
      {props.dot && <circle class="dot" cx={x(props.dot[0])} cy={y(props.dot[1])} r={5} />}
      {props.marks?.map(({ at, name, kind }, k) => (
        <g key={name}>
          <path class={kind} d={`M${x(at)} ${TOP - 4}V${HEIGHT - BOTTOM}`} />
          <text x={x(at)} y={k ? TOP - 8 : HEIGHT - BOTTOM - 4} text-anchor={at > (from + to) / 2 ? "end" : "start"}>{` ${name} `}</text>
        </g>
      ))}
      {props.ticks.map((tick) => (
        <text key={tick} class="tick" x={x(tick)} y={HEIGHT - 6} text-anchor={tick === from ? "start" : tick === to ? "end" : "middle"}>
          {`${digits(tick, 2)}${props.unit}`}
        </text>
      ))}
      {!props.marks && <text class="tick" x={LEFT} y={TOP - 8}>{digits(high, 3)}</text>}
    </svg>
  )
}

/** Drive by orientation around a circle; opposite directions are one orientation. lines: orientations with a class. */
export function Polar({ curve, lines }: { curve: number[]; lines: { degrees: number; kind: "first" | "second" }[] }) {
  const most = Math.max(...curve) || 1
  const at = (turn: number, radius: number) => `${(100 + 82 * radius * Math.cos(turn)).toFixed(1)} ${(100 - 82 * radius * Math.sin(turn)).toFixed(1)}`
  const points = [...curve, ...curve].map((drive, k) => at((Math.PI * k) / curve.length, drive / most))
  return (
    <svg class="polar" viewBox="0 0 200 200" role="img" aria-label="Tuning curve around a circle: the distance from the middle is the drive by bars of that orientation">
      <circle class="axis" cx={100} cy={100} r={82} />
      <path class="axis" d="M18 100H182M100 18V182" />
      <path class="first area" d={`M${points.join("L")}Z`} />
      {lines.map(({ degrees, kind }) => {
        const turn = (degrees * Math.PI) / 180
        return <path key={kind} class={kind} d={`M${at(turn, 1.1)}L${at(turn + Math.PI, 1.1)}`} />
      })}
    </svg>
  )
}

/** The last responses, the newest at the right. */
export function Trace({ values, low, high }: { values: number[]; low: number; high: number }) {
  const y = (value: number) => 56 - ((value - low) / (high - low || 1)) * 52
  const first = TRACE - values.length
  return (
    <svg class="trace" viewBox={`0 0 ${TRACE} 60`} preserveAspectRatio="none" role="img" aria-label="The last responses">
      <path class="axis" d={`M0 ${y(0)}H${TRACE}`} />
      <polyline class="first" points={values.map((value, k) => `${first + k},${y(value).toFixed(1)}`).join(" ")} />
    </svg>
  )
}

/** Responses that a trace holds. */
export const TRACE = 150
