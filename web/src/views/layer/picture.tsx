// The picture of a layer: padded input, filter, partial sums and output, with what is selected on all of them.
import type { ComponentChildren } from "preact"
import { useMemo } from "preact/hooks"
import * as geometry from "../../geometry"
import { type Box, Cells, Hit, Lines, Numbers } from "../../parts/cells"
import { type Board, overshoot, TITLE } from "./board"
import * as example from "./example"
import { by, type Layer, loses, modeOf, onAxes, outputText, state, unread } from "./model"
import { countColors, inputPaint, type Palettes, signedPaint } from "./paint"
import { notation, plural } from "./texts"

export type Kind = "output" | "pixel" | "tap"
/** A cell: of the output, of a channel of the input, or of a slice of the filter. */
export interface Selection {
  kind: Kind
  channel: number
  i: number
  j: number
}

export const minus = (value: number): string => (value < 0 ? `\u2212${-value}` : String(value))

interface Props {
  layer: Layer
  board: Board
  filter: number
  selection: Selection
  /** The input shows how many windows read each pixel, not its numbers. */
  counting: boolean
  playing: boolean
  palettes: Palettes
  onHover(selection: Selection | undefined): void
  onPick(selection: Selection): void
  onKey(kind: Kind, event: KeyboardEvent): void
}
/** What a plane of one channel needs besides. */
interface PlaneProps extends Props {
  box: Box
  channel: number
  about: string
}

/** A rectangle around cells of a box, from row i and column j. */
const frame = (kind: string, { x, y, side }: Box, i: number, j: number, high = 1, wide = 1) => (
  <rect class={kind} x={x + j * side} y={y + i * side} width={wide * side} height={high * side} />
)
const around = (kind: string, box: Box) => frame(kind, box, 0, 0, box.rows, box.columns)

/** Row and column of a cell, or of a block with its number of rows and columns. */
type Cell = [number, number, number?, number?]

/** Cells of a box as one path. */
const marks = (kind: string, { x, y, side }: Box, cells: Cell[]) => (
  <path
    class={kind}
    d={[...new Set(cells.map(([i, j, high = 1, wide = 1]) => `M${x + j * side} ${y + i * side}h${wide * side}v${high * side}h${-wide * side}z`))].join("")}
  />
)

const pairs = (rows: number[], columns: number[]) => rows.flatMap((i) => columns.map((j): Cell => [i, j]))
const upTo = (count: number) => Array.from({ length: count }, (_, k) => k)
const text = (kind: string, x: number, y: number, children: string, anchor?: "middle") => (
  <text class={kind} x={x} y={y} text-anchor={anchor}>
    {children}
  </text>
)

export function Picture(props: Props & { picture: { current: SVGSVGElement | null } }) {
  const { layer, board, filter, selection, onKey } = props
  const { rows, columns, channels } = layer
  const about = `${notation(layer)}|${filter}|${props.counting}`
  const maps = useMemo(() => [example.plane(layer, filter), ...board.partials.map((_, k) => example.plane(layer, filter, k))], [about])
  const most = Math.max(...maps.map(example.mostOf))
  const grid = (kind: Kind, label: string, boxes: Box[], children: ComponentChildren) => {
    const box = boxes[selection.channel] ?? boxes[0]
    return (
      <g class={`grid ${kind}`} tabindex={0} role="application" aria-roledescription="grid" aria-label={label} data-grid={kind} onKeyDown={(event) => onKey(kind, event)}>
        {children}
        {box && <g data-hit>{frame("ring", { ...box, x: box.x - 4, y: box.y - 4, side: 1 }, 0, 0, box.rows * box.side + 8, box.columns * box.side + 8)}</g>}
      </g>
    )
  }
  const sums = (box: Box, channel: number, plane: example.Plane | undefined) => (
    <Values {...props} key={channel} kind="output" box={box} channel={channel} about={`${about}|${channel}|${most}`} most={most} value={plane && ((i, j) => plane[i]?.[j] ?? 0)} />
  )
  return (
    <svg
      ref={props.picture}
      data-picture
      class={props.playing ? "bench moving" : "bench"}
      width={board.width}
      height={board.height}
      viewBox={`0 0 ${board.width} ${board.height}`}
      role="group"
      aria-label={`${notation(layer)}, output ${outputText(layer)}`}
    >
      <pattern id="striate-unread" width={6} height={6} patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <rect width={6} height={6} class="hatched" />
        <rect width={1.6} height={6} class="hatch" />
      </pattern>
      <Words {...props} />
      {grid("pixel", `Input ${by(rows.input, columns.input)}, ${plural(channels, "channel")}: arrows choose a pixel`, board.inputs, board.inputs.map((box, k) => <InputPlane key={k} {...props} box={box} channel={k} about={`${about}|${k}`} />))}
      {grid("tap", `Filter ${filter}, ${by(rows.kernel, columns.kernel)}: arrows choose a weight`, board.filters, board.filters.map((box, k) => (
        <Values key={k} {...props} kind="tap" box={box} channel={k} about={`${about}|${k}`} most={1} value={(u, v) => example.weight(u, v, k, filter)} />
      )))}
      {board.partials.map((box, k) => sums(box, k, maps[k + 1]))}
      {state(layer) === "impossible" ? (
        <g class="none">
          {frame("", { ...board.output, side: 1 }, 0, 0, 60, 110)}
          {text("", board.output.x + 55, board.output.y + 35, "no output", "middle")}
        </g>
      ) : (
        grid("output", `Output ${outputText(layer)}, channel ${filter}: arrows move the window, Space plays, Enter pins`, [board.output], (
          <>
            {upTo(board.behind).map((k) => around("sheet", { ...board.output, x: board.output.x + 5 * (board.behind - k), y: board.output.y - 5 * (board.behind - k) }))}
            {sums(board.output, -1, maps[0])}
          </>
        ))
      )}
    </svg>
  )
}

// -- planes -----------------------------------------------------------------------------------------------------

function InputPlane(props: PlaneProps) {
  const { layer, box, channel, counting, palettes, selection, onHover, onPick, about } = props
  const { rows, columns } = layer
  const [top, left] = [rows.before, columns.before]
  const real: Box = { ...box, x: box.x + left * box.side, y: box.y + top * box.side, rows: rows.input, columns: columns.input }
  const works = state(layer) !== "impossible"
  const counts = onAxes(layer, geometry.counts)
  const colors = (i: number, j: number) => {
    const count = (counts[0][i] ?? 0) * (counts[1][j] ?? 0)
    return { count, ...countColors(palettes, count, Math.max(...counts[0]) * Math.max(...counts[1])) }
  }
  const number = (i: number, j: number) => example.paddedNumber(layer, channel, i - top, j - left)
  const isPadding = (i: number, j: number) => i < top || j < left || i >= top + rows.input || j >= left + columns.input
  const at = ([i, j]: [number, number]): Selection => ({
    kind: "pixel",
    channel,
    i: Math.min(Math.max(i - top, 0), rows.input - 1),
    j: Math.min(Math.max(j - left, 0), columns.input - 1),
  })
  const never = unread(layer)
  const bands: Cell[] = works ? [...never.rows.map((i): Cell => [i, 0, 1, columns.input]), ...never.columns.map((j): Cell => [0, j, rows.input, 1])] : []
  return (
    <g>
      {around("padding", box)}
      {modeOf(layer) !== "zeros" && (
        <Cells box={box} paint={(i, j) => ({ ...inputPaint(number(i, j)), opacity: isPadding(i, j) ? number(i, j) * 0.09 : 0 })} about={about} />
      )}
      {around("paper", real)}
      <Cells box={real} paint={(i, j) => (counting ? { fill: colors(i, j).fill, opacity: 1 } : inputPaint(example.inputNumber(i, j, channel)))} about={about} />
      {marks(counting ? "unread outline" : "unread", real, bands)}
      {works && selection.kind !== "pixel" && <Reads {...props} real={real} />}
      <Lines box={box} />
      {around("edge dashed", box)}
      {around("edge", real)}
      {counting ? (
        <Numbers box={real} text={(i, j) => String(colors(i, j).count)} color={(i, j) => colors(i, j).ink} about={about} />
      ) : (
        <>
          <g class="padded">
            <Numbers box={box} text={(i, j) => (isPadding(i, j) ? String(number(i, j)) : "")} about={about} />
          </g>
          <Numbers box={real} text={(i, j) => String(example.inputNumber(i, j, channel))} about={about} />
        </>
      )}
      <Windows {...props} real={real} />
      <Hit box={box} onHover={(cell) => onHover(cell && at(cell))} onPick={(cell) => onPick(at(cell))} />
    </g>
  )
}

/** What the window reads, or all that a weight reads. */
function Reads({ layer, selection: { kind, channel: chosen, i, j }, real, channel }: PlaneProps & { real: Box }) {
  if (kind === "tap" && chosen !== channel) return null
  const [down, across] = onAxes(layer, (axis, k) => {
    const own = k ? j : i
    return kind === "output"
      ? upTo(axis.kernel).map((u) => geometry.raw(axis, own, u))
      : upTo(geometry.outputs(axis)).map((at) => geometry.raw(axis, at, own))
  })
  return marks(kind === "output" ? "taps" : "touched", real, pairs(down, across))
}

/** Outlines on the input: the window, the pixel, and the windows that do not fit. */
function Windows({ layer, selection: { kind, channel: chosen, i, j }, real, channel }: PlaneProps & { real: Box }) {
  const { rows, columns } = layer
  const [high, wide] = onAxes(layer, geometry.span)
  const outline = (name: string, y: number, x: number) => frame(name, real, y, x, high, wide)
  const works = state(layer) !== "impossible"
  const shade = !works || loses(layer) ? "next error" : "next"
  const [below, right] = onAxes(layer, (axis) => geometry.raw(axis, geometry.outputs(axis), 0))
  const copies = onAxes(layer, (axis, k) =>
    upTo(axis.before + axis.input + axis.after)
      .map((x) => x - axis.before)
      .filter((x) => geometry.fold(x, axis.input, axis.mode) === (k ? j : i)),
  )
  return (
    <g>
      {!works && outline(shade, -rows.before, -columns.before)}
      {works && overshoot(columns) > 0 && outline(shade, -rows.before, right)}
      {works && overshoot(rows) > 0 && outline(shade, below, -columns.before)}
      {works && kind === "output" && outline("window", geometry.raw(rows, i, 0), geometry.raw(columns, j, 0))}
      {kind === "pixel" && chosen === channel && (
        <>
          {marks("copies", real, pairs(...copies))}
          {frame("chosen", real, i, j)}
        </>
      )}
    </g>
  )
}

/** Outputs (or taps) by which a selected pixel is read, or all that a selected tap gives to. */
const readers = (layer: Layer, { i, j }: Selection, what: "output" | "tap") =>
  pairs(...onAxes(layer, (axis, k) => geometry.readers(axis, k ? j : i).map((one) => one[what])))

/** Weights of a slice of the filter, or sums, with what is selected and what reads the selected pixel. channel: -1 for the whole output. */
function Values({ layer, box, kind, channel, value, most, palettes, selection, about, onHover, onPick }: PlaneProps & {
  kind: "tap" | "output"
  /** Undefined: too much to compute. */
  value: ((i: number, j: number) => number) | undefined
  most: number
}) {
  const at = ([i, j]: [number, number]): Selection => ({ kind, channel: kind === "tap" ? channel : 0, i, j })
  const own = channel < 0 || channel === selection.channel
  return (
    <g>
      {around("paper", box)}
      {value && <Cells box={box} paint={(i, j) => signedPaint(palettes, value(i, j), most)} about={about} />}
      <Lines box={box} />
      {around(kind === "tap" ? "edge own" : "edge", box)}
      {value && <Numbers box={box} text={(i, j) => minus(value(i, j))} about={about} />}
      {selection.kind === kind && (own || kind === "output") && frame(`chosen ${kind}`, box, selection.i, selection.j)}
      {selection.kind === "pixel" && own && marks("fed", box, readers(layer, selection, kind))}
      <Hit box={box} onHover={(cell) => onHover(cell && at(cell))} onPick={(cell) => onPick(at(cell))} />
    </g>
  )
}

// -- texts ------------------------------------------------------------------------------------------------------

/** Titles over the planes and the signs between them. */
function Words({ layer, board, filter }: Props) {
  const { channels, filters, rows, columns } = layer
  const { inputs, partials, output, gaps, narrow, stacked, behind } = board
  const title = (box: Box | undefined, name: string, under: string, up = 0) =>
    box && (
      <>
        {text("name", box.x, box.y - 26 - up, name)}
        {text("note", box.x, box.y - 9 - up, under)}
      </>
    )
  const middle = ({ y, rows: high, side }: Box) => y + (high * side) / 2
  const works = state(layer) !== "impossible"
  const bias = example.bias(filter)
  const added = `${bias < 0 ? "\u2212" : "+"} ${Math.abs(bias)}`
  const [first, last] = [partials[0], partials.at(-1)]
  const end = works ? middle(output) : output.y + 30
  const sum = output.x - (first ? 38 : 42)
  return (
    <g>
      {title(inputs[0], "input", `${by(rows.input, columns.input)}x${channels}`, channels > 1 ? 20 : 0)}
      {title(board.filters[0], filters > 1 ? `filter ${filter}${narrow ? "" : `, one of ${filters}`}` : "filter", `${by(rows.kernel, columns.kernel)}x${channels}`)}
      {title(first, narrow ? "sums" : "sum of each channel", narrow ? "by channel" : `${outputText(layer)} for each`)}
      {title(output, "output", works ? `${outputText(layer)}x${filters}${filters > 1 ? `, channel ${filter}` : ""}` : "", 5 * behind)}
      {channels > 1 && inputs.map(({ x, y }, k) => text("note", x, y - 6, `channel ${k}`))}
      {channels > inputs.length && text("note", 0, board.bottom + 6, `and ${plural(channels - inputs.length, "more channel")}: the filter reads all ${channels}`)}
      {board.filters.map((box, k) => (
        <>
          {text("sign", box.x - gaps.times / 2, middle(box) + 7, "\u2217", "middle")}
          {partials[k] && text("sign", partials[k].x - gaps.equals / 2, middle(partials[k]) + 7, "=", "middle")}
        </>
      ))}
      {stacked ? (
        text("note", 0, output.y - TITLE - 6 - 5 * behind, `${first ? "sum of all channels " : ""}${added} (bias) =`)
      ) : (
        <>
          {text("sign", sum, end + 7, `${added} =`, "middle")}
          {text("note", sum, end - 16, "bias", "middle")}
          {first && last && <path class="bracket" d={`M${last.x + last.columns * last.side + 8} ${first.y}h6V${last.y + last.rows * last.side}h-6`} />}
        </>
      )}
    </g>
  )
}
