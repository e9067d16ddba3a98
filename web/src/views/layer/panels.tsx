// Beside the sliding window: how often each pixel is read, the padding modes, and a fully connected layer.
import * as geometry from "../../geometry"
import { Cells, Lines, Numbers } from "../../parts/cells"
import { changed, cost, type Layer, onAxes, outputText, state, unread } from "./model"
import { countColors, type Palettes } from "./paint"
import { arithmetic, grouped, notation, plural } from "./texts"

// -- counts -----------------------------------------------------------------------------------------------------

/** How many windows read each pixel, as the product of what the axes give, and its summary as Python tells it. */
function use(layer: Layer) {
  const [rows, columns] = onAxes(layer, geometry.counts)
  const at = (i: number, j: number) => (rows[i] ?? 0) * (columns[j] ?? 0)
  const sum = (list: number[]) => list.reduce((a, b) => a + b, 0)
  const total = sum(rows) * sum(columns)
  const pixels = rows.length * columns.length
  const edge = pixels - Math.max(rows.length - 2, 0) * Math.max(columns.length - 2, 0)
  const [corner, center, most] = [at(0, 0), at(rows.length >> 1, columns.length >> 1), Math.max(...rows) * Math.max(...columns)]
  const border = (total - sum(rows.slice(1, -1)) * sum(columns.slice(1, -1))) / edge / center
  const never = unread(layer).pixels
  const lines = never ? [`${grouped(never)} of ${plural(pixels, "pixel")} never read`] : []
  if (most && total === pixels * most) lines.push(`every pixel is read ${plural(most, "time")}: equally often`)
  else if (!center) lines.push("the center is never read")
  else lines.push(`corner ${corner} of ${center} at the center = ${digits(corner / center)}`, `border ${digits(border)} of the center, on average`)
  return { at, most, lines }
}

const digits = (value: number) => String(Number(value.toPrecision(3)))

export function Counts({ layer, palettes }: { layer: Layer; palettes: Palettes }) {
  const { most, lines } = use(layer)
  const steps = most < 10 ? Array.from({ length: most + 1 }, (_, k) => k) : [0, 0.25, 0.5, 0.75, 1].map((share) => Math.round(share * most))
  return (
    <div class="panel" data-counts>
      <p>How many windows read each pixel: {lines.join("; ")}.</p>
      {most > 0 && (
        <div class="scale">
          {steps.map((count) => {
            const { fill, ink } = countColors(palettes, count, most)
            return <span style={{ background: fill, color: ink }}>{count}</span>
          })}
        </div>
      )}
    </div>
  )
}

// -- padding modes ----------------------------------------------------------------------------------------------

const VARIANTS: [string, "valid" | "same" | "full", geometry.Mode][] = [
  ["valid", "valid", "zeros"],
  ["zero same", "same", "zeros"],
  ["full", "full", "zeros"],
  ["circular", "same", "circular"],
  ["reflect", "same", "reflect"],
]
const ROOM = 140

/** The same layer under each padding, with its counts. */
export function Modes({ layer, palettes, onChange }: { layer: Layer; palettes: Palettes; onChange(layer: Layer): void }) {
  return (
    <div class="panel modes">
      {VARIANTS.map(([name, policy, mode]) => {
        const one = changed(layer, (axis) => ({ ...geometry.padding(policy, axis), mode }))
        const works = state(one) !== "impossible"
        return (
          <section key={name} data-mode={name} aria-label={name}>
            <strong>{name}</strong>
            <p>{works ? `output ${outputText(one)}` : "no output"}</p>
            {works && <CountMap layer={one} palettes={palettes} />}
            {works && use(one).lines.map((line) => <p>{line}</p>)}
            <button type="button" onClick={() => onChange(one)} aria-label={`Use it: ${name}`}>
              Use it
            </button>
          </section>
        )
      })}
    </div>
  )
}

function CountMap({ layer, palettes }: { layer: Layer; palettes: Palettes }) {
  const { at, most } = use(layer)
  const [rows, columns] = onAxes(layer, (axis) => axis.input)
  const side = Math.min(26, ROOM / Math.max(rows, columns))
  const box = { x: 0, y: 0, side, rows, columns }
  const colors = (i: number, j: number) => countColors(palettes, at(i, j), most)
  const about = `modes|${notation(layer)}`
  return (
    <svg width={columns * side} height={rows * side} role="img" aria-label={`counts, at most ${most}`}>
      <Cells box={box} paint={(i, j) => ({ fill: colors(i, j).fill, opacity: 1 })} about={about} />
      <Lines box={box} />
      <Numbers box={box} text={(i, j) => String(at(i, j))} color={(i, j) => colors(i, j).ink} about={about} />
    </svg>
  )
}

// -- fully connected --------------------------------------------------------------------------------------------

/** The convolution and the fully connected layer between the same shapes; squares have areas in proportion. */
export function FullyConnected({ layer, width }: { layer: Layer; width: number }) {
  if (state(layer) === "impossible") return <p class="panel">No output: there is nothing to compare.</p>
  const costs = cost(layer)
  const texts = arithmetic(layer)
  const most = Math.min(200, (width - 120) / 2)
  const times = (what: "params" | "macs") => {
    const ratio = costs.dense[what] / costs.conv[what]
    return ratio < 999.5 ? digits(ratio) : grouped(Math.round(ratio))
  }
  const row = (name: string, amounts: [number, number], under: [string, string]) => (
    <tr>
      <th scope="row">{name}</th>
      {amounts.map((amount, k) => {
        const side = most * Math.sqrt(amount / Math.max(...amounts))
        const room = Math.max(side, 22) // a circle around a square that is hardly seen
        return (
          <td data-amount={amount} data-unit={name}>
            <svg width={room} height={room} aria-hidden="true">
              <rect class={k ? "dense" : "conv"} x={(room - side) / 2} y={(room - side) / 2} width={side} height={side} />
              {side < 5 && <circle cx={11} cy={11} r={10} />}
            </svg>
            <b>{grouped(amount)}</b>
            <br />
            {under[k]}
          </td>
        )
      })}
    </tr>
  )
  return (
    <div class="panel fc">
      <table>
        <thead>
          <tr>
            <td />
            <th scope="col">convolution</th>
            <th scope="col">fully connected</th>
          </tr>
        </thead>
        <tbody>
          {row("one output reads", [costs.products, costs.inputs], ["numbers, with the same weights at every position", "numbers: all of the input, with weights of its own"])}
          {row("parameters", [costs.conv.params, costs.dense.params], [texts.conv.params, texts.dense.params])}
          {row("MACs", [costs.conv.macs, costs.dense.macs], [texts.conv.macs, texts.dense.macs])}
        </tbody>
      </table>
      <p>
        The fully connected layer between the same sizes has <b>{times("params")} times</b> as many parameters and{" "}
        <b>{times("macs")} times</b> as many multiply-accumulates (MACs). Areas in a row are to scale.
      </p>
    </div>
  )
}
