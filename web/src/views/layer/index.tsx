// The layer bench: one layer of any size, its sliding filter with numbers, and what its sizes lead to.
import { useEffect, useMemo, useRef, useState } from "preact/hooks"
import * as geometry from "../../geometry"
import { CopyButtons } from "../../parts/copy"
import { svgFile } from "../../parts/svgfile"
import { useWidth } from "../../parts/width"
import type { View, ViewProps } from "../../view"
import { board, SHOWN_CHANNELS } from "./board"
import { differs, Fields, Options } from "./controls"
import { Filters } from "./filters"
import { fixes } from "./fixes"
import { type Layer, loses, modeOf, onAxes, padText, parse, sides, state, unread, write } from "./model"
import { Counts, FullyConnected, Modes } from "./panels"
import { type Kind, Picture, type Selection } from "./picture"
import { sentence, Written } from "./sum"
import { formulas, latex, modeTrouble, notation, pytorch, verdict } from "./texts"

const SHOWS = { "": "Numbers", counts: "Window counts", modes: "Padding modes", fc: "Fully connected" }
/** The parameter of the route that pins a cell. */
const PINS = { output: "at", pixel: "pixel", tap: "tap" } as const
const STATES = { fits: "\u2713 fits", remainder: "\u25b3 leaves a remainder", impossible: "\u2715 impossible" }

function LayerBench({ record, host, parameters, set }: ViewProps) {
  const { layer, refused } = useMemo(() => parse(parameters), [JSON.stringify(parameters)])
  const [hovered, setHovered] = useState<Selection>()
  const [played, setPlayed] = useState<number>()
  const picture = useRef<SVGSVGElement>(null)
  const [stage, width] = useWidth<HTMLDivElement>()
  const places = useMemo(() => board(layer, width), [layer, width])
  const chosen = Number(parameters["filter"])
  const filter = isIndex(chosen, layer.filters) ? chosen : 0
  const pinned = selectionOf(parameters, layer)
  const [high, wide] = onAxes(layer, geometry.outputs)
  const positions = high * wide
  const playing = played !== undefined
  const position = (k: number): Selection => {
    const at = (k + positions) % positions
    return { kind: "output", channel: 0, i: Math.floor(at / wide), j: at % wide }
  }
  const shown = playing && positions ? position(played) : (hovered ?? pinned)
  const index = shown.kind === "output" ? shown.i * wide + shown.j : 0
  const now = state(layer)
  const show = parameters["show"] ?? ""
  const apart = parameters["apart"] === "1" || differs(layer)

  const go = (changes: Parameters<typeof set>[0], replace = false) => {
    setPlayed(undefined)
    setHovered(undefined)
    set(changes, replace)
  }
  const pin = (to: Selection | undefined, replace = false) =>
    go({ at: undefined, pixel: undefined, tap: undefined, ...(to && { [PINS[to.kind]]: (to.kind === "output" ? [to.i, to.j] : [to.channel, to.i, to.j]).join(".") }) }, replace)
  const change = (next: Layer, replace?: boolean) => go(write(next), replace)
  const play = () => {
    if (playing) pin(shown, true)
    else if (positions) setPlayed(index < positions - 1 ? index : 0)
  }
  useEffect(() => {
    if (!playing || !positions) return
    const timer = setInterval(() => setPlayed((k) => ((k ?? 0) + 1) % positions), Math.min(Math.max(20_000 / positions, 60), 500))
    return () => clearInterval(timer)
  }, [playing, positions])

  const onKey = (kind: Kind, event: KeyboardEvent) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return
    const from = shown.kind === kind ? shown : undefined
    if (event.key === " ") play()
    else if (event.key === "Escape") pin(undefined, true)
    else if (event.key === "Enter") pin(from ?? { kind, channel: 0, i: 0, j: 0 })
    else {
      const next = moved(kind, from, event.key, layer)
      if (!next) return
      pin(next, true)
    }
    event.preventDefault()
  }
  const button = (label: string, sign: string, act: () => void) => (
    <button type="button" disabled={!positions} aria-label={label} onClick={act}>
      {sign}
    </button>
  )

  return (
    <div class="layer" data-state={now} data-unread={unread(layer).pixels}>
      <Verdict layer={layer} onChange={change} refused={refused} />
      <div class="workbench">
        <Fields layer={layer} apart={apart} onChange={change} />
        <div class="stage" ref={stage}>
          <div class="bar" role="group" aria-label="What is shown">
            {Object.entries(SHOWS).map(([name, title]) => (
              <button key={name} type="button" aria-pressed={show === name} onClick={() => set({ show: name || undefined })}>
                {title}
              </button>
            ))}
          </div>
          {show === "fc" && <FullyConnected layer={layer} width={width} />}
          {show === "modes" && <Modes layer={layer} palettes={record.palettes} onChange={change} />}
          {show === "counts" && <Counts layer={layer} palettes={record.palettes} />}
          <div class="player" role="group" aria-label="The sliding window">
            {button(playing ? "Pause" : "Play", playing ? "\u23f8\ufe0e" : "\u25b6\ufe0e", play)}
            {button("Previous position", "\u2039", () => pin(position(index - 1), true))}
            {button("Next position", "\u203a", () => pin(position(index + 1), true))}
            <input
              type="range"
              min={0}
              max={Math.max(positions - 1, 0)}
              value={index}
              disabled={positions < 2}
              aria-label="Position of the window"
              onInput={(event) => pin(position(Number(event.currentTarget.value)), true)}
            />
            <span class="count">{positions ? `${index + 1} of ${positions}` : "no position"}</span>
          </div>
          <Picture
            layer={layer}
            board={places}
            filter={filter}
            selection={shown}
            counting={show === "counts"}
            playing={playing}
            palettes={record.palettes}
            onHover={(selection) => !playing && setHovered(selection)}
            onPick={pin}
            onKey={onKey}
            picture={picture}
          />
          <p class="key">
            {sides(layer).some(Boolean) && `Around the image: padding ${padText(layer)}, ${modeOf(layer)}. `}
            {unread(layer).pixels > 0 && positions > 0 && (show === "counts" ? "Dashed red: never read. " : "Hatched: never read. ")}
            Blue is below zero, orange above.
          </p>
          {layer.filters > 1 && (
            <Filters layer={layer} chosen={filter} palettes={record.palettes} onChoose={(one) => set({ filter: one || undefined })} />
          )}
          {positions > 0 && <Written layer={layer} filter={filter} selection={shown} />}
          <p class="live" role="status" aria-live="polite" data-live>
            {!playing && positions > 0 && sentence(layer, filter, pinned)}
          </p>
          <CopyButtons
            items={{
              SVG: () => (picture.current ? svgFile(picture.current) : ""),
              PyTorch: () => pytorch(layer),
              notation: () => notation(layer),
              LaTeX: () => latex(layer),
              ...(host.link && { link: () => host.link?.(host.route()) ?? "" }),
            }}
          />
        </div>
        <Options layer={layer} record={record} apart={apart} onChange={change} onApart={(one, on) => go({ ...write(one), apart: on ? 1 : undefined })} />
      </div>
    </div>
  )
}

/** The formula with the numbers, which stays on screen, the state in words, and what would fit. */
function Verdict({ layer, onChange, refused }: { layer: Layer; onChange(layer: Layer): void; refused: string[] }) {
  const now = state(layer)
  const tone = now === "remainder" && !loses(layer) ? "warning" : now === "fits" ? "good" : "error"
  const offered = useMemo(() => fixes(layer), [layer])
  const troubles = [modeTrouble(layer), ...refused.map((one) => `${one}: the usual value is shown.`)].filter(Boolean)
  return (
    <>
      <div class={`formula ${tone}`}>
        {formulas(layer).map(({ name, text }) => (
          <span key={name}>
            {name && <i>{name} </i>}
            <output data-formula={name}>{text}</output>
          </span>
        ))}
        <strong class="state">{STATES[now]}</strong>
      </div>
      <div class="verdict">
        <p>{verdict(layer)}</p>
        {troubles.map((one) => (
          <p class="trouble" key={one}>
            {one}
          </p>
        ))}
        {offered.length > 0 && (
          <div class="bar" role="group" aria-label="Changes that fit">
            What fits:
            {offered.map((fix) => (
              <button type="button" key={fix.text} onClick={() => onChange(fix.layer)}>
                {fix.text}
              </button>
            ))}
          </div>
        )}
      </div>
    </>
  )
}

// -- the route --------------------------------------------------------------------------------------------------

const isIndex = (value: number, count: number) => Number.isInteger(value) && value >= 0 && value < count

/** Rows and columns of what a cell belongs to. */
const sizes = (layer: Layer, kind: Kind): [number, number] =>
  onAxes(layer, (axis) => (kind === "output" ? geometry.outputs(axis) : kind === "pixel" ? axis.input : axis.kernel))

/** What the route pins; the first position of the window if it pins nothing. */
function selectionOf(parameters: Record<string, string>, layer: Layer): Selection {
  for (const kind of ["pixel", "tap", "output"] as const) {
    const numbers = parameters[PINS[kind]]?.split(".").map(Number)
    if (!numbers) continue
    const [channel = 0, i = -1, j = -1] = kind === "output" ? [0, ...numbers] : numbers
    const [high, wide] = sizes(layer, kind)
    if (isIndex(i, high) && isIndex(j, wide) && isIndex(channel, layer.channels)) return { kind, channel, i, j }
  }
  return { kind: "output", channel: 0, i: 0, j: 0 }
}

/** Where a key leads on a grid; undefined for another key. */
function moved(kind: Kind, from: Selection | undefined, key: string, layer: Layer): Selection | undefined {
  const [high, wide] = sizes(layer, kind)
  const start = from ?? { kind, channel: 0, i: 0, j: 0 }
  const { channel, i, j } = start
  const within = (value: number, count: number) => Math.min(Math.max(value, 0), Math.max(count - 1, 0))
  const steps: Record<string, [number, number, number]> = {
    ArrowUp: [i - 1, j, channel], ArrowDown: [i + 1, j, channel], ArrowLeft: [i, j - 1, channel], ArrowRight: [i, j + 1, channel],
    Home: [0, 0, channel], End: [high, wide, channel], PageUp: [i, j, channel - 1], PageDown: [i, j, channel + 1],
  }
  const to = steps[key]
  if (!to) return undefined
  const channels = kind === "output" ? 1 : Math.min(layer.channels, SHOWN_CHANNELS)
  return from || key === "End" ? { kind, channel: within(to[2], channels), i: within(to[0], high), j: within(to[1], wide) } : start
}

export const layer: View = { name: "layer", title: "Layer", Component: LayerBench }
