// The numbers of the layer, to type or step; and the layers of the record's network to start from.
import { useState } from "preact/hooks"
import * as geometry from "../../geometry"
import type { Axis } from "../../geometry"
import type { LivePage, ShownNode } from "../../record"
import { axesOf, changed, type Layer, type Letter, modeOf, parse, RANGES, write } from "./model"

type Change = (layer: Layer, replace?: boolean) => void
type Side = "rows" | "columns"

const AXES: [Letter, string, [string, Side, keyof Axis][]][] = [
  ["n", "Input N", both("input")],
  ["f", "Filter F", both("kernel")],
  ["s", "Stride S", both("stride")],
  ["d", "Dilation D", both("dilation")],
  ["p", "Padding P", [["top", "rows", "before"], ["bottom", "rows", "after"], ["left", "columns", "before"], ["right", "columns", "after"]]],
]

function both(field: keyof Axis): [string, Side, keyof Axis][] {
  return [
    ["height", "rows", field],
    ["width", "columns", field],
  ]
}

/** N, F, S, D, P, C and K; those of an axis apart where height and width differ. */
export function Fields({ layer, apart, onChange }: { layer: Layer; apart: boolean; onChange: Change }) {
  const set = (parts: [string, Side, keyof Axis][]) => (value: number, replace?: boolean) => {
    const next = { ...layer }
    for (const [, side, field] of parts) next[side] = { ...next[side], [field]: value }
    onChange(next, replace)
  }
  return (
    <form class="fields" aria-label="Numbers of the layer" onSubmit={(event) => event.preventDefault()}>
      {AXES.map(([letter, label, parts]) =>
        (apart ? parts : parts.slice(0, 1)).map((part) => (
          <Field
            key={part.join()}
            letter={letter}
            label={apart ? `${label}, ${part[0]}` : label}
            value={layer[part[1]][part[2]] as number}
            onChange={set(apart ? [part] : parts)}
          />
        )),
      )}
      <Field letter="c" label="Channels C" value={layer.channels} onChange={(channels, replace) => onChange({ ...layer, channels }, replace)} />
      <Field letter="k" label="Filters K" value={layer.filters} onChange={(filters, replace) => onChange({ ...layer, filters }, replace)} />
    </form>
  )
}

/** The kinds of padding, and where the numbers come from. */
export function Options({ layer, record, apart, onChange, onApart }: {
  layer: Layer
  record: LivePage
  apart: boolean
  onChange: Change
  onApart(layer: Layer, apart: boolean): void
}) {
  return (
    <form class="options" aria-label="Padding, and layers to start from" onSubmit={(event) => event.preventDefault()}>
      <div class="bar" role="group" aria-label="Padding">
        {(["valid", "same", "full"] as const).map((name) => {
          const one = changed(layer, (axis) => geometry.padding(name, axis))
          return (
            <button type="button" key={name} aria-pressed={JSON.stringify(one) === JSON.stringify(layer)} onClick={() => onChange(one)}>
              {name}
            </button>
          )
        })}
      </div>
      <label>
        Padding holds
        <select value={modeOf(layer)} onChange={(event) => onChange(changed(layer, () => ({ mode: event.currentTarget.value as geometry.Mode })))}>
          {geometry.MODES.map((mode, k) => (
            <option key={mode} value={mode}>
              {["zeros", "circular: the other end", "reflect: the mirror image", "replicate: the border pixel"][k]}
            </option>
          ))}
        </select>
      </label>
      <NetworkLayers layer={layer} record={record} onChange={onChange} />
      <label>
        <input type="checkbox" checked={apart} onChange={({ currentTarget: { checked } }) => onApart(checked ? layer : agreeing(layer), checked)} />{" "}
        height, width and sides apart
      </label>
    </form>
  )
}

/** Whether one number does not say both axes. */
export const differs = (layer: Layer): boolean => JSON.stringify(axesOf(layer)) !== JSON.stringify(axesOf(agreeing(layer)))

/** The layer whose sides are all like its height's first one. */
function agreeing(layer: Layer): Layer {
  const axis = { ...layer.rows, after: layer.rows.before }
  return { ...layer, rows: axis, columns: axis }
}

/** A number with a step down and up. */
function Field({ letter, label, value, onChange }: {
  letter: Letter
  label: string
  value: number
  onChange(value: number, replace?: boolean): void
}) {
  const [least, most] = RANGES[letter]
  const [draft, setDraft] = useState<string>()
  const lies = (text: string) => /^\d+$/.test(text) && Number(text) >= least && Number(text) <= most
  const typed = draft ?? String(value)
  const step = (by: number, word: string, sign: string) => (
    <button type="button" class={word} tabIndex={-1} disabled={!lies(String(value + by))} aria-label={`${label}: ${word}`} onClick={() => onChange(value + by)}>
      {sign}
    </button>
  )
  return (
    <div class="field">
      <label>
        <span>{label}</span>
        <input
          type="number"
          min={least}
          max={most}
          value={typed}
          aria-invalid={!lies(typed)}
          onInput={({ currentTarget: { value: text } }) => {
            setDraft(text)
            if (lies(text)) onChange(Number(text), true)
          }}
          onBlur={() => setDraft(undefined)}
        />
      </label>
      {step(-1, "less", "\u2212")}
      {step(1, "more", "+")}
    </div>
  )
}

// -- layers of the network ----------------------------------------------------------------------------------------

/** A choice of the network's convolutions and pools. */
function NetworkLayers({ layer, record, onChange }: { layer: Layer; record: LivePage; onChange: Change }) {
  const layers = record.show.nodes.flatMap((node) => {
    const one = layerOf(node, record)
    return one ? [{ node, layer: one }] : []
  })
  if (!layers.length) return null
  const now = JSON.stringify(write(layer))
  return (
    <label>
      A layer of {record.show.name}
      <select
        value={layers.findIndex((one) => JSON.stringify(write(one.layer)) === now)}
        onChange={(event) => {
          const one = layers[Number(event.currentTarget.value)]
          if (one) onChange(one.layer)
        }}
      >
        <option value={-1}>own numbers</option>
        {layers.map(({ node }, k) => (
          <option key={node.name} value={k}>
            {node.name}: {node.text}
          </option>
        ))}
      </select>
    </label>
  )
}

/** A node as a layer of the bench: what one filter reads. Undefined where its window is none of the bench's. */
function layerOf(node: ShownNode, { show }: LivePage): Layer | undefined {
  const { h, w } = node.window
  const source = node.inputs[0] ?? ""
  const shape = show.inputs[source] ?? show.nodes.find((one) => one.name === source)?.output
  if (!h || !w || h.transposed || h.overhang || w.overhang || shape?.length !== 3) return undefined
  const wanted = {
    nh: shape[1], nw: shape[2], fh: h.kernel, fw: w.kernel, sh: h.stride, sw: w.stride, dh: h.dilation, dw: w.dilation,
    pt: h.pad[0], pb: h.pad[1], pl: w.pad[0], pr: w.pad[1],
    c: node.filter?.[0] ?? 1, k: node.filter ? node.output[0] : 1, mode: /\bmode (\w+)/.exec(node.text)?.[1] ?? "zeros",
  }
  const { layer, refused } = parse(Object.fromEntries(Object.entries(wanted).map(([name, value]) => [name, String(value)])))
  return refused.length ? undefined : layer
}
