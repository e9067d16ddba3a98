// A unit of the open node with its receptive field on the input, and a pixel with the units that see it.
import type { ShownNode } from "../../record"
import type { ViewProps } from "../../view"
import { Cells } from "../../cells"
import { plural } from "../../large"
import { InputChoice, SliceChoice } from "../../parts/choice"
import { axesOf, AXIS_WORDS, countUnits, fieldOf, reachOf, runText, seenBy, type Span } from "./fields"

const numbers = (text: string | undefined): number[] | null => {
  const values = text?.split(",").map(Number)
  return values?.every((one) => Number.isInteger(one) && one >= 0) ? values : null
}

export function Units({ record, parameters, set, node }: ViewProps & { node: ShownNode }) {
  const { show } = record
  const inputs = Object.keys(show.inputs).filter((name) => Object.keys(seenBy(record, node, name)).length)
  const input = inputs.find((name) => name === parameters["input"]) ?? inputs[0]
  const shape = input === undefined ? undefined : show.inputs[input]
  if (input === undefined || !shape) return null
  const by = seenBy(record, node, input)
  const axes = axesOf(shape)
  const sizes = shape.slice(1)
  const own = axesOf(node.output)
  const units = node.output.slice(1)
  const bounded = (values: number[] | null, limits: number[]): number[] | null =>
    values && values.length === limits.length ? values.map((value, k) => Math.min(value, (limits[k] ?? 1) - 1)) : null
  const pixel = bounded(numbers(parameters["pixel"]), sizes)
  const unit = bounded(numbers(parameters["unit"]), units) ?? units.map((n) => n >> 1)
  const field = fieldOf(by, node, unit)
  const reach = pixel ? reachOf(by, node, Object.fromEntries(axes.map((axis, k) => [axis, pixel[k] ?? 0]))) : null
  const exact = Object.values(by).every((one) => one.exact)
  const dilated = show.nodes.some((one) => Object.values(one.window).some((window) => window.dilation > 1))

  const unitText = (at: number[]) => describeField(fieldOf(by, node, at), axes, sizes, own, at)
  const pixelText = (at: number[]) =>
    describeReach(reachOf(by, node, Object.fromEntries(axes.map((axis, k) => [axis, at[k] ?? 0]))), axes, at, own, units)
  const grid = flat(sizes, axes, field)
  const outputs = flat(units, own)
  return (
    <div class="units">
      <h3>What a unit sees, and which units see a pixel</h3>
      <InputChoice names={inputs} input={input} choose={(name) => set({ input: name, pixel: undefined })} />
      <div class="side-by-side">
        <figure>
          <figcaption>
            <strong>Input </strong>
            <bdi>{input}</bdi>, {sizes.join(" x ")} pixels: click one
          </figcaption>
          <Slices axes={axes} sizes={sizes} at={pixel ?? sizes.map((n) => n >> 1)} onChange={(at) => set({ pixel: at.join(",") })} />
          <Cells
            picture
            label={`Input ${input}, ${sizes.join(" by ")} pixels`}
            help="Click or tap a pixel, or move with the arrow keys, to see the units that it reaches."
            rows={grid.rows}
            columns={grid.columns}
            around={grid.around}
            at={pixel ? (pixel.length > 1 ? (pixel.slice(-2) as [number, number]) : [0, pixel[0] ?? 0]) : null}
            names={[AXIS_WORDS[axes[axes.length - 2] ?? ""] ?? "row", AXIS_WORDS[axes[axes.length - 1] ?? ""] ?? "column"]}
            onMove={(at) => set({ pixel: whole(at, pixel ?? sizes.map((n) => n >> 1)).join(",") }, true)}
            describe={(at) => pixelText(whole(at, pixel ?? sizes.map((n) => n >> 1)))}
          >
            {() => (
              <>
                {grid.field && (
                  <>
                    <rect class="field-outside" {...grid.field} />
                    <rect class="field-inside" {...grid.inside} />
                  </>
                )}
              </>
            )}
          </Cells>
        </figure>
        <figure>
          <figcaption>
            <strong>Output of </strong>
            <bdi>{node.name}</bdi>, {units.length ? `${units.join(" x ")} units of each channel: click one` : "without height and width"}
          </figcaption>
          {units.length ? (
            <>
              <Slices axes={own} sizes={units} at={unit} onChange={(at) => set({ unit: at.join(",") })} />
              <Cells
                label={`Output of ${node.name}, ${units.join(" by ")} units`}
                help="Click or tap a unit, or move with the arrow keys, to see its receptive field."
                rows={outputs.rows}
                columns={outputs.columns}
                at={unit.length > 1 ? (unit.slice(-2) as [number, number]) : [0, unit[0] ?? 0]}
                names={[AXIS_WORDS[own[own.length - 2] ?? ""] ?? "row", AXIS_WORDS[own[own.length - 1] ?? ""] ?? "column"]}
                onMove={(at) => set({ unit: whole(at, unit).join(",") }, true)}
                describe={(at) => unitText(whole(at, unit))}
              >
                {() => reach && <Reached reach={reach} />}
              </Cells>
            </>
          ) : (
            <p>Its units have no position: each sees the same pixels.</p>
          )}
        </figure>
      </div>
      <p data-field={JSON.stringify(Object.fromEntries(Object.entries(field)))}>
        <span class="key unit" aria-hidden="true" /> {unitText(unit)}
      </p>
      {pixel && (
        <p data-reach={JSON.stringify(reach)}>
          <span class="key pixel" aria-hidden="true" /> {pixelText(pixel)}
        </p>
      )}
      {!exact && <p class="small">Fields differ from unit to unit here: the first and last coordinate are rounded outward.</p>}
      {dilated && <p class="small">A field goes from its first pixel to its last; windows with dilation skip pixels in between.</p>}
    </div>
  )
}

/** The last two indices replaced. */
function whole(at: [number, number], now: number[]): number[] {
  return now.length === 1 ? [at[1]] : [...now.slice(0, -2), ...at]
}

/** Of three axes, which slice the grid shows. */
function Slices({ axes, sizes, at, onChange }: { axes: string[]; sizes: number[]; at: number[]; onChange(at: number[]): void }) {
  if (axes.length < 3) return null
  return <SliceChoice count={sizes[0] ?? 1} at={at[0]} choose={(slice) => onChange([slice, ...at.slice(1)])} />
}

/** A grid of the last two axes, and a field on it with what lies around the grid. */
function flat(sizes: number[], axes: string[], field?: Record<string, Span>) {
  const [rows, columns] = sizes.length > 1 ? [sizes[sizes.length - 2] ?? 1, sizes[sizes.length - 1] ?? 1] : [1, sizes[0] ?? 1]
  const along = (axis: string | undefined, size: number): Span => (axis && field?.[axis]) || [0, size - 1]
  const [top, bottom] = sizes.length > 1 ? along(axes[axes.length - 2], rows) : [0, 0]
  const [left, right] = along(axes[axes.length - 1], columns)
  const some = field !== undefined && bottom >= top && right >= left
  const around: [number, number, number, number] = some
    ? [Math.max(-top, 0), Math.max(right - columns + 1, 0), Math.max(bottom - rows + 1, 0), Math.max(-left, 0)]
    : [0, 0, 0, 0]
  const [y, x] = [Math.max(top, 0), Math.max(left, 0)]
  return {
    rows,
    columns,
    around,
    field: some ? { x: left, y: top, width: right - left + 1, height: bottom - top + 1 } : null,
    inside: { x, y, width: Math.max(Math.min(right, columns - 1) - x + 1, 0), height: Math.max(Math.min(bottom, rows - 1) - y + 1, 0) },
  }
}

function Reached({ reach }: { reach: Span[][] }) {
  const down = reach.length > 1 ? (reach[reach.length - 2] ?? []) : [[0, 0] as Span]
  const along = reach[reach.length - 1] ?? []
  return (
    <>
      {down.flatMap(([top, bottom]) =>
        along.map(([left, right]) => (
          <rect class="reached" key={`${top},${left}`} x={left} y={top} width={right - left + 1} height={bottom - top + 1} />
        )),
      )}
    </>
  )
}

const position = (axes: string[], at: number[]): string =>
  axes.map((axis, k) => `${AXIS_WORDS[axis] ?? axis} ${at[k] ?? 0}`).join(", ")

function describeField(field: Record<string, Span>, axes: string[], sizes: number[], own: string[], at: number[]): string {
  const who = own.length ? `The unit at ${position(own, at)}` : "Every unit"
  const spans = axes.map((axis, k): Span => field[axis] ?? [0, (sizes[k] ?? 1) - 1])
  if (spans.some(([lo, hi]) => hi < lo)) return `${who} sees nothing of the input.`
  const size = spans.map(([lo, hi]) => hi - lo + 1).join("x")
  const where = axes.map((axis, k) => runText(axis, [spans[k] ?? [0, 0]])).join(", ")
  const beyond = axes.flatMap((axis, k) => {
    const [lo, hi] = spans[k] ?? [0, 0]
    const [before, after] = [Math.max(-lo, 0), Math.max(hi - (sizes[k] ?? 1) + 1, 0)]
    return before || after ? [`${before} ${AXIS_WORDS[axis]}${before === 1 ? "" : "s"} before and ${after} after the input`] : []
  })
  const padding = beyond.length ? ` In the padding: ${beyond.join("; ")}.` : " It contains no padding."
  return `${who} sees ${size} pixels: ${where}.${padding}`
}

function describeReach(reach: Span[][] | null, axes: string[], at: number[], own: string[], units: number[]): string {
  const what = `The pixel at ${position(axes, at)}`
  if (!reach) return `${what} is in the field of no unit.`
  if (!own.length) return `${what} is in the field of every unit.`
  const count = reach.reduce((product, runs) => product * countUnits(runs), 1)
  const all = units.reduce((product, n) => product * n, 1)
  return `${what} is in the field of ${plural(count, "unit")} of ${all.toLocaleString("en-US")} in each channel: ${own
    .map((axis, k) => runText(axis, reach[k] ?? []))
    .join(", ")}.`
}
