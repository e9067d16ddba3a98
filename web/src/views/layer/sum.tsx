// The sum behind one output, written out; or what reads a pixel, or what a weight of the filter touches.
import * as geometry from "../../geometry"
import { SHOWN_CHANNELS } from "./board"
import * as example from "./example"
import { type Layer, onAxes, runs } from "./model"
import { minus, type Selection } from "./picture"
import { plural } from "./texts"

/** Products of a channel that are written. */
const MOST_TERMS = 49

/** What is selected, in one sentence. */
export function sentence(layer: Layer, filter: number, selection: Selection): string {
  const { rows, columns, channels, filters } = layer
  const { kind, channel, i, j } = selection
  const where = `row ${i} column ${j}`
  if (kind === "output") {
    const count = rows.kernel * columns.kernel * channels
    const value = example.output(layer, filter, i, j).toFixed(1)
    const which = filters > 1 ? `, output channel ${filter}` : ""
    return `output ${where} = ${value}, sum of ${plural(count, "product")} plus bias ${example.bias(filter)}${which}`
  }
  const of = channels > 1 ? ` of channel ${channel}` : ""
  if (kind === "pixel") {
    const lines = onAxes(layer, (axis, k) => [...new Set(geometry.readers(axis, k ? j : i).map((one) => one.output))])
    const windows = lines[0].length * lines[1].length
    const [down, across] = onAxes(layer, (_, k) => `${k ? "column" : "row"}${lines[k]?.length === 1 ? "" : "s"} ${runs(lines[k] ?? [], " to ")}`)
    return `input ${where}${of} is read by ${windows ? `${plural(windows, "window")}: output ${down}, ${across}` : "no window"}`
  }
  const reads = onAxes(layer, (axis, k) => {
    const places = Array.from({ length: geometry.outputs(axis) }, (_, at) => geometry.raw(axis, at, k ? j : i))
    return { all: places.length, real: places.filter((x) => x >= 0 && x < axis.input).length }
  })
  const real = reads[0].real * reads[1].real
  const padding = reads[0].all * reads[1].all - real
  return `filter ${where}${of} = ${example.weight(i, j, channel, filter)}; by weight sharing it reads ${plural(real, "input pixel")}${padding ? ` and ${plural(padding, "position")} of the padding` : ""}`
}

const signed = (value: number) => `${value < 0 ? "\u2212" : "+"} ${Math.abs(value)}`

export function Written({ layer, filter, selection }: { layer: Layer; filter: number; selection: Selection }) {
  const { kind, i, j } = selection
  const said = <p class="said">{sentence(layer, filter, selection)}</p>
  if (kind !== "output") return <div class="written">{said}</div>
  const shown = Math.min(layer.channels, SHOWN_CHANNELS)
  const sums = Array.from({ length: shown }, (_, k) => example.partial(layer, filter, k, i, j))
  const whole = example.output(layer, filter, i, j)
  const added = example.bias(filter)
  const rest = whole - added - sums.reduce((a, b) => a + b, 0)
  const more = layer.channels - shown
  return (
    <div class="written">
      {said}
      <dl>
        {sums.map((value, channel) => (
          <>
            <dt>channel {channel}</dt>
            <dd data-partial={channel}>
              <Terms all={example.products(layer, filter, channel, i, j)} />
              <b> = {minus(value)}</b>
            </dd>
          </>
        ))}
        {more > 0 && (
          <>
            <dt>{more} more</dt>
            <dd>
              the same over the other channels <b>= {minus(rest)}</b>
            </dd>
          </>
        )}
        <dt>sum</dt>
        <dd data-total={whole}>
          {(more ? [...sums, rest] : sums).map((value, k) => (k ? signed(value) : minus(value))).join(" ")} {signed(added)}{" "}
          <i>(bias)</i> <b>= {minus(whole)}</b>
        </dd>
      </dl>
    </div>
  )
}

/** The products of one channel: input times weight; what the padding gives is pale. */
function Terms({ all }: { all: ReturnType<typeof example.products> }) {
  const more = all.length - MOST_TERMS
  return (
    <>
      {all.slice(0, MOST_TERMS).map((one, k) => (
        <>
          {k ? " + " : ""}
          <span class={one.padding ? "padded" : ""}>
            {one.input}
            {"\u00b7"}
            {one.weight < 0 ? `(${minus(one.weight)})` : one.weight}
          </span>
        </>
      ))}
      {more > 0 && ` + \u2026 ${plural(more, "more product")}`}
    </>
  )
}
