// View `activations`: an image goes through the trained network, and every unit answers at once.
import { useEffect, useMemo, useRef, useState } from "preact/hooks"
import { bytesOf } from "../../engine"
import { digits } from "../../large"
import { hex, rgb } from "../../palette"
import type { Drawing, LivePage, ShownNode } from "../../record"
import type { View, ViewProps } from "../../view"
import { Answers, verdict } from "./answers"
import { Canvas, fieldSpan } from "./canvas"
import { type Output, useComputed, useWeights } from "./compute"
import { Filters } from "./filters"
import { type Cell, Legend, Montage, scaleOf } from "./montage"
import { FIGURES, type Ink, type Pixels, addressOf, colorsOf, fromAddress, fromFile, ground, usualInk } from "./pixels"
import { Training, percentOf } from "./training"

const MAX_MAPS = 256

function Activations(props: ViewProps & { drawing: Drawing }) {
  const { record, host, parameters, set, drawing } = props
  const [drawn, load, finish] = usePixels(drawing, parameters, set)
  const [ink, setInk] = useState<Ink>(usualInk(drawing))
  const fixed = record.model || host.request ? undefined : record.eight_bit
  const pixels = useMemo(() => (fixed ? bytesOf(fixed.sample.pixels) : drawn), [fixed, drawn])
  const nodes = fixed ? record.show.nodes.filter((one) => one.name in fixed.maps) : record.show.nodes
  const node = nodes.find((one) => one.name === parameters["node"]) ?? nodes[0]!
  const percent = percentOf(drawing, parameters["trained"])
  const weights = useWeights(record, percent)
  const [computed, problem] = useComputed(record, host, pixels, node.name, percent, weights)
  const output = computed?.output(node.name)
  const pinned = pinnedCell(parameters, output)
  const [previewed, preview] = useState<{ node: string; cell: Cell }>()
  const hovered = previewed?.node === node.name ? previewed.cell : undefined
  const cell = hovered ?? pinned
  const text = output && cell ? unitText(node, output, cell, drawing) : ""
  return (
    <div class="activations">
      <div class="try">
        <div class="draw">
          {!fixed && <p class="note">Draw with the mouse or a finger, or choose an image below.</p>}
          <Canvas fixed={fixed !== undefined} drawing={drawing} pixels={pixels} ink={ink} field={output && cell && fieldOf(node, output, cell, drawing)}
            onDraw={load} onEnd={finish} />
          {fixed && (
            <p class="note" data-state="eight-bit">
              <bdi>{fixed.sample.name}</bdi>, class <bdi>{fixed.sample.label}</bdi>. {record.no_model}. The page therefore holds 8-bit values of
              this one image, for some nodes; striate lab computes every value of any image.
            </p>
          )}
          {!fixed && <Tools {...{ drawing, pixels, ink, setInk, finish, set, parameters }} />}
        </div>
        <div>
          {!drawing.trained && <p class="state" data-state="untrained">△ Untrained: the weights are fresh random numbers.</p>}
          <Training drawing={drawing} percent={percent} go={(to) => set({ trained: to === 100 ? undefined : to }, true)} />
          {problem && <p class="missing" role="alert">{problem}</p>}
          {computed && computed.shares.length > 0 && (
            <>
              <p class="verdict" role="status">{verdict(drawing.classes, computed.shares)}</p>
              <Answers classes={drawing.classes} shares={computed.shares} />
            </>
          )}
          {computed && computed.shares.length === 0 && <p class="note">The network does not output class probabilities.</p>}
          <NodeChoice nodes={nodes} node={node} set={set} />
          <p class="unit" role="status" data-unit={text ? "" : undefined}>
            {text || "Point at a unit to see its value and what it reads; a click keeps it."}
          </p>
          {output ? (
            <Maps {...{ record, node, output, cell, parameters, set }} isPinned={cell !== undefined && cell === pinned}
              onCell={(at, pin) => {
                preview(pin ? undefined : { node: node.name, cell: at })
                if (pin) set({ c: at.map, y: at.y, x: at.x })
              }}
              onLeave={() => preview(undefined)}
              onEscape={() => {
                if (!hovered && pinned) set({ c: undefined, y: undefined, x: undefined })
                preview(undefined)
              }} />
          ) : (
            !problem && <p class="note">Computing …</p>
          )}
          {record.model && weights && output && <Filters model={record.model} weights={weights} node={node.name} map={cell ? mapOf(output, cell) : 0}
            isFlat={sizesOf(output).flat} palettes={record.palettes} />}
        </div>
      </div>
    </div>
  )
}

/** The pixels of the route, and what changes them: while drawing, and at the end of a stroke. */
function usePixels(
  drawing: Drawing, parameters: Record<string, string>, set: ViewProps["set"],
): [Pixels, (pixels: Pixels) => void, (pixels: Pixels) => void] {
  const { image, draw } = parameters
  const address = `${image} ${draw}`
  const named = useMemo(() => fromAddress(drawing, image, draw), [drawing, address])
  // What was drawn stands for the address that was written for it, or for an address that cannot hold it.
  const [own, setOwn] = useState({ drawing, address, pixels: named })
  return [
    own.drawing === drawing && own.address === address ? own.pixels : named,
    (pixels) => setOwn({ drawing, address, pixels }),
    (pixels) => {
      const written = addressOf(pixels)
      setOwn({ drawing, address: `undefined ${written}`, pixels })
      set({ image: undefined, draw: written }, true)
    },
  ]
}

function Tools(props: {
  drawing: Drawing
  pixels: Pixels
  ink: Ink
  setInk: (ink: Ink) => void
  finish: (pixels: Pixels) => void
  set: ViewProps["set"]
  parameters: Record<string, string>
}) {
  const { drawing, pixels, ink, finish, set } = props
  const [failed, setFailed] = useState("")
  const choose = (image: string) => set({ image, draw: undefined })
  async function open(event: Event) {
    const input = event.currentTarget as HTMLInputElement
    const file = input.files?.[0]
    if (!file) return
    try {
      finish(await fromFile(file, drawing))
      setFailed("")
    } catch {
      setFailed("The browser cannot read this file as an image.")
    }
    input.value = ""
  }
  const isErasing = ink.every((part) => part === ground(drawing))
  return (
    <>
      <div class="buttons">
        <button type="button" onClick={() => choose("none")}>Clear</button>
        <button type="button" aria-pressed={isErasing}
          onClick={() => props.setInk(isErasing ? usualInk(drawing) : [ground(drawing), ground(drawing), ground(drawing)])}>Eraser</button>
        <button type="button" onClick={() => finish(pixels.map((byte) => 255 - byte))}>Invert</button>
        {drawing.image[2] === 3 && (
          <label class="field">Color <input type="color" value={hex(ink)}
            onInput={(event) => props.setInk(rgb(event.currentTarget.value))} /></label>
        )}
        <label class="file">Open an image … <input type="file" accept="image/*" onChange={open} /></label>
      </div>
      {failed && <p class="missing" role="alert">{failed}</p>}
      {drawing.samples.length > 0 && (
        <ul class="samples" aria-label="Images of the data">
          {drawing.samples.map((sample, k) => (
            <li key={k}>
              <button type="button" aria-label={`${sample.label}: ${sample.name}`} title={`${sample.label}: ${sample.name}`}
                aria-pressed={(props.parameters["image"] ?? (props.parameters["draw"] ? "" : "0")) === String(k)} onClick={() => choose(String(k))}>
                <Thumbnail pixels={fromAddress(drawing, String(k), undefined)} drawing={drawing} />
              </button>
            </li>
          ))}
        </ul>
      )}
      <div class="buttons figures" role="group" aria-label="Figures">
        {Object.keys(FIGURES).map((name) => (
          <button type="button" key={name} aria-pressed={props.parameters["image"] === name} onClick={() => choose(name)}>{name}</button>
        ))}
      </div>
    </>
  )
}

function Thumbnail({ pixels, drawing }: { pixels: Pixels; drawing: Drawing }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  useEffect(() => {
    canvas.current?.getContext("2d")?.putImageData(colorsOf(pixels, drawing), 0, 0)
  }, [drawing])
  return <canvas ref={canvas} width={drawing.image[1]} height={drawing.image[0]} />
}

function NodeChoice({ nodes, node, set }: { nodes: ShownNode[]; node: ShownNode; set: ViewProps["set"] }) {
  const at = nodes.indexOf(node)
  const go = (next: ShownNode | undefined) => next && set({ node: next.name, c: undefined, y: undefined, x: undefined, from: undefined })
  return (
    <div class="node-choice">
      <h2><label for="striate-node">Maps of</label></h2>
      <button type="button" aria-label="Previous node" disabled={at === 0} onClick={() => go(nodes[at - 1])}>←</button>
      <select id="striate-node" value={node.name} onChange={(event) => go(nodes[event.currentTarget.selectedIndex])}>
        {nodes.map((one) => <option key={one.name} value={one.name}>{`${one.name}: ${one.text}`}</option>)}
      </select>
      <button type="button" aria-label="Next node" disabled={at === nodes.length - 1} onClick={() => go(nodes[at + 1])}>→</button>
      <span class="note">{node.sizes[0]}</span>
    </div>
  )
}

/** Number of maps and their height and width; a flat value is one map, cut into rows. */
function sizesOf({ shape }: Output): { count: number; high: number; wide: number; flat: boolean } {
  const [count = 1, ...space] = shape
  const [wide = 1, high = 1] = [...space].reverse()
  const deep = space.slice(0, -2).reduce((product, n) => product * n, 1)
  if (high * wide * deep > 1) return { count: count * deep, high, wide, flat: false }
  const columns = Math.min(count, 12)
  return { count: 1, high: Math.ceil(count / columns), wide: columns, flat: true }
}

/** The channel of a cell: in a flat value every cell is one. */
function mapOf(output: Output, cell: Cell): number {
  const { flat, wide } = sizesOf(output)
  return flat ? cell.y * wide + cell.x : cell.map
}

const indexOf = ({ high, wide }: { high: number; wide: number }, cell: Cell) => (cell.map * high + cell.y) * wide + cell.x

function pinnedCell(parameters: Record<string, string>, output: Output | undefined): Cell | undefined {
  if (!output || parameters["c"] === undefined) return undefined
  const cell = { map: Number(parameters["c"]), y: Number(parameters["y"] ?? 0), x: Number(parameters["x"] ?? 0) }
  const { count, high, wide } = sizesOf(output)
  const inside = (value: number, most: number) => Number.isInteger(value) && value >= 0 && value < most
  const fits = inside(cell.map, count) && inside(cell.y, high) && inside(cell.x, wide)
  return fits && indexOf({ high, wide }, cell) < output.values.length ? cell : undefined
}

function fieldOf(node: ShownNode, output: Output, cell: Cell, drawing: Drawing) {
  const [height, width] = drawing.image as [number, number]
  const { flat } = sizesOf(output)
  const at = flat ? { y: 0, x: 0 } : cell
  return { rows: fieldSpan(node.receptive_field["h"], at.y, height), columns: fieldSpan(node.receptive_field["w"], at.x, width) }
}

function unitText(node: ShownNode, output: Output, cell: Cell, drawing: Drawing): string {
  const sizes = sizesOf(output)
  const value = output.values[indexOf(sizes, cell)]
  if (value === undefined) return ""
  const unit = sizes.flat ? `unit ${mapOf(output, cell)}` : `channel ${cell.map} row ${cell.y} column ${cell.x}`
  const { rows, columns } = fieldOf(node, output, cell, drawing)
  const [height, width] = drawing.image as [number, number]
  const padded = rows[0] < 0 || columns[0] < 0 || rows[1] >= height || columns[1] >= width ? ", padding included" : ""
  const equal = output.channels === undefined ? "=" : "is about"
  return `${node.name} ${unit} ${equal} ${digits(value)}; it reads rows ${rows.join(" to ")} and columns ${columns.join(" to ")} of the image${padded}.`
}

function Maps(props: {
  record: LivePage
  node: ShownNode
  output: Output
  cell: Cell | undefined
  isPinned: boolean
  parameters: Record<string, string>
  set: ViewProps["set"]
  onCell: (cell: Cell, pin: boolean) => void
  onLeave: () => void
  onEscape: () => void
}) {
  const { record, node, output, cell } = props
  const { count, high, wide, flat } = sizesOf(output)
  const scale = useMemo(() => scaleOf(output.values, record.palettes), [output.values, record.palettes])
  const from = Math.min(Math.max(Math.floor(Number(props.parameters["from"] ?? 0)) || 0, 0), Math.floor((count - 1) / MAX_MAPS) * MAX_MAPS)
  const shown = Math.min(count - from, MAX_MAPS)
  const size = high * wide
  const values = useMemo(() => {
    if (!flat) return output.values.subarray(from * size, (from + shown) * size)
    const filled = new Float32Array(size).fill(NaN) // cells after the last unit
    filled.set(output.values)
    return filled
  }, [output.values, from, shown, size, flat])
  const at = cell && cell.map >= from && cell.map < from + shown ? { ...cell, map: cell.map - from } : undefined
  const what = flat ? `${output.values.length} units` : `${count} maps of ${high} by ${wide}`
  const least = output.values.reduce((one, value) => Math.min(one, value), Infinity)
  const most = output.values.reduce((one, value) => Math.max(one, value), -Infinity)
  return (
    <section class="maps">
      <Legend scale={scale} label="Colors of the maps" />
      <p class="note" data-range={`${least} ${most}`}>Smallest {digits(least)}, largest {digits(most)}.
        {output.channels !== undefined && ` 8-bit values of ${output.shape[0]} of ${output.channels} channels.`}</p>
      <Montage values={values} count={shown} high={high} wide={wide} scale={scale} first={from} bare={flat} at={at} pinned={props.isPinned}
        label={`${node.name}: ${what}. Arrow keys move, Page Up and Page Down change the map, Enter keeps a unit.`}
        onCell={(next, pin) => {
          const whole = { ...next, map: next.map + from }
          if (indexOf({ high, wide }, whole) < output.values.length) props.onCell(whole, pin)
        }}
        onLeave={props.onLeave} onEscape={props.onEscape} />
      {count > MAX_MAPS && (
        <div class="buttons">
          <button type="button" disabled={from === 0} onClick={() => props.set({ from: from - MAX_MAPS })}>Previous maps</button>
          <span class="note">{from} to {from + shown - 1} of {count}</span>
          <button type="button" disabled={from + shown >= count} onClick={() => props.set({ from: from + MAX_MAPS })}>Next maps</button>
        </div>
      )}
    </section>
  )
}

export const activations: View = {
  name: "activations",
  title: "Activations",
  missing(record, host) {
    if (record.drawing && (record.model || host.request || record.eight_bit)) return ""
    const why = record.no_model ?? "The record holds no network to compute with"
    return `${why}.${host.kind === "file" ? " striate lab MODEL computes every value." : ""}`
  },
  Component: (props) => (props.record.drawing ? <Activations {...props} drawing={props.record.drawing} key={props.record.show.name} /> : null),
}
