// View `lab`: an electrode in a unit, a stimulus in the student's hand, the response, and the protocol to compare with.
import type { Probed, Slide } from "../../lab/api"
import type { LivePage } from "../../record"
import type { Host } from "../../host"
import type { ViewProps } from "../../view"
import { digits, useEffect, useMemo, useRef, useState } from "../../shared"
import { type Cell, fieldOf, heldCell, origin, servedCell } from "./cell"
import { Chart, Trace } from "./charts"
import { Border, Pool, Protocol } from "./protocol"
import { type Answer, useResponses } from "./response"
import { type Mark, Screen, turned } from "./screen"
import { useClicks } from "./sound"
import { KINDS, radians } from "./stimuli"

type Set = ViewProps["set"]
const PLACES = ["center", "edge", "corner"]
const MAX_MARKS = 300
/** Share of the largest response that tells a response from that to the blank screen. */
const FAINT = 0.01
const PAUSE_MS = 300
const SWEEP = 61
const SWEEP_MS = 45

export function Experiment(props: ViewProps) {
  const { record, host, parameters, set } = props
  const nodes = useMemo(() => namesOf(record, host), [record.show, record.experiment])
  const first = nodes.find((name) => record.show.nodes.some((one) => one.name === name && one.filter)) ?? nodes[0] ?? ""
  const asked = parameters["node"] ?? first
  const node = nodes.includes(asked) ? asked : first
  const unit = Math.max(0, Math.floor(Number(parameters["unit"] ?? 0)) || 0)
  const at = parameters["at"] ?? "center"
  const [cell, problem] = useCell(record, host, { node, unit, at })
  const fresh = { marks: undefined, x: undefined, y: undefined }
  return (
    <div class="experiment">
      <p class="note">The input of the network is the screen, and the electrode is in one unit. Move the stimulus and find what the unit responds to, as Hubel and
        Wiesel did in 1959.</p>
      {node ? (
        <div class="buttons electrode">
          <label>Node <select value={node} onChange={(event) => set({ node: nodes[event.currentTarget.selectedIndex], unit: undefined, at: undefined, w: undefined, l: undefined, ...fresh })}>
            {nodes.map((name) => <option key={name} value={name}>{name}</option>)}
          </select></label>
          <label>Unit <input type="number" min={0} max={cell ? cell.node.units - 1 : 0} value={unit} onChange={(event) => set({ unit: event.currentTarget.value, ...fresh })} /></label>
          <span role="group" aria-label="Place" class="buttons">
            {PLACES.map((name) => (
              <button type="button" key={name} aria-pressed={at === name} onClick={() => set({ at: name, ...fresh })}>{name}</button>
            ))}
          </span>
          {cell && ["row", "column"].map((axis, k) => (
            <label key={axis}>{axis} <input type="number" min={0} max={cell.node.map[k]! - 1} value={cell.place.position[k]}
              onChange={(event) => {
                const to = [...cell.place.position]
                to[k] = Math.min(Math.max(Math.floor(Number(event.currentTarget.value)) || 0, 0), cell.node.map[k]! - 1)
                set({ at: to.join("."), ...fresh })
              }} /></label>
          ))}
        </div>
      ) : <p class="missing">No node of the network has a map, so its units have no place on the screen.</p>}
      {problem && <p class="missing" role="alert">{problem}</p>}
      {cell ? <Bench key={cell.key} cell={cell} parameters={parameters} set={set} /> : node && !problem && <p class="note">Placing the electrode …</p>}
    </div>
  )
}

/** Nodes whose units have a place: those that the record lists, or those with height and width, of which Python decides. */
function namesOf(record: LivePage, host: Host): string[] {
  if (record.experiment && !host.request) return record.experiment.nodes.map((one) => one.node)
  return record.show.nodes.filter((one) => one.output.length === 3).map((one) => one.name)
}

/** The electrode at a unit, and why there is none. */
function useCell(record: LivePage, host: Host, { node, unit, at }: Probed): [Cell | undefined, string] {
  const [state, setState] = useState<[Cell | undefined, string]>([undefined, ""])
  const source = host.source ? JSON.stringify(host.source()) : ""
  useEffect(() => {
    if (!node || !host.request) {
      setState([node ? heldCell(record, node, unit, at) : undefined, ""])
      return undefined
    }
    let wanted = true
    servedCell(host, node, unit, at).then(
      (cell) => wanted && setState([cell, ""]),
      (error: Error) => wanted && setState([undefined, error.message]),
    )
    return () => void (wanted = false)
  }, [record.show, source, node, unit, at])
  return state
}

const NAMES: Record<string, keyof Slide> = { kind: "kind", o: "orientation", x: "x", y: "y", w: "width", l: "length", dark: "dark" }

/** The stimulus of a route; what is missing or wrong there has its default. */
function slideOf(cell: Cell, parameters: Record<string, string>): Slide {
  const { rows, columns } = fieldOf(cell.place)
  const side = Math.max(rows[1] - rows[0], columns[1] - columns[0]) + 1
  const most = 2 * Math.max(cell.screen.height, cell.screen.width)
  const number = (name: string, usual: number, least: number, high: number) => {
    const value = Number(parameters[name] ?? usual)
    return Number.isFinite(value) ? Math.min(Math.max(value, least), high) : usual
  }
  return {
    kind: KINDS.includes(parameters["kind"] ?? "") ? parameters["kind"]! : "bar",
    orientation: turned(number("o", 0, -360, 360)),
    x: number("x", 0, -most, most),
    y: number("y", 0, -most, most),
    width: number("w", Math.max(1, Math.round(side / 2) / 2), 0.5, most),
    length: number("l", Math.max(3, Math.round(1.5 * side)), 1, most),
    dark: parameters["dark"] === "1" ? 1 : 0,
  }
}

function marksOf(text = ""): Mark[] {
  return text.split("*").slice(0, MAX_MARKS).flatMap((one) => {
    const [x, y, sign] = one.split("_")
    const mark = { x: Number(x), y: Number(y), sign: sign === "p" ? "+" : sign === "n" ? "-" : "0" } as Mark
    return sign && Number.isFinite(mark.x) && Number.isFinite(mark.y) ? [mark] : []
  })
}
const marksText = (marks: Mark[]): string | undefined =>
  marks.map(({ x, y, sign }) => `${digits(x)}_${digits(y)}_${{ "+": "p", "-": "n", "0": "z" }[sign]}`).join("*") || undefined

interface Sweep {
  slides: Slide[]
  places: number[]
  values: number[]
  blank: number
  /** 0 to twice their number: first forward, then backward. */
  step: number
}

function Bench({ cell, parameters, set }: { cell: Cell; parameters: Record<string, string>; set: Set }) {
  const names = [...Object.keys(NAMES), "marks"]
  const address = names.map((name) => parameters[name]).join(" ")
  const usual = useMemo(() => slideOf(cell, {}), [cell])
  const named = useMemo(() => ({ address, slide: slideOf(cell, parameters), marks: marksOf(parameters["marks"]) }), [address])
  // What was moved or marked stands for the address that will be written for it.
  const [own, setOwn] = useState(named)
  const held = own.address === address ? own : named
  const { slide, marks } = held
  const colors = Object.keys(cell.screen.colors)
  const color = colors.includes(parameters["color"] ?? "") ? parameters["color"]! : colors[0]!
  const [trail, setTrail] = useState(false)
  const [sweep, setSweep] = useState<Sweep>()

  const now = useRef(held)
  now.current = held
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  /** Write the state into the route: at the end of a movement, since browsers limit how often an address changes. */
  const end = () => {
    clearTimeout(timer.current)
    const { slide, marks } = now.current
    const changes: Record<string, string | undefined> = { marks: marksText(marks) }
    for (const [name, key] of Object.entries(NAMES)) changes[name] = slide[key] === usual[key] ? undefined : written(slide[key]!)
    const next = names.map((name) => changes[name]).join(" ")
    if (next === now.current.address) return
    setOwn({ address: next, slide, marks })
    set(changes, true)
  }
  const change = (changes: Partial<typeof held>) => {
    now.current = { ...now.current, ...changes }
    setOwn(now.current)
    clearTimeout(timer.current)
    timer.current = setTimeout(end, PAUSE_MS)
  }
  const move = (slide: Slide) => {
    setSweep(undefined)
    change({ slide })
  }
  useEffect(() => () => clearTimeout(timer.current), [])

  const leave = ({ slide: at, value, blank }: Answer, high: number) => {
    const { x, y } = origin(cell.place)
    const more = value - blank
    const mark: Mark = { x: x + at.x, y: y - at.y, sign: Math.abs(more) <= FAINT * high ? "0" : more > 0 ? "+" : "-" }
    change({ marks: [...now.current.marks, mark].slice(-MAX_MARKS) })
  }
  const responses = useResponses(cell, slide, color, (answer, high) => trail && leave(answer, high))
  const { last, low, high, add } = responses
  const much = Math.max(high, -low)
  const mark = () => last && leave(last, much)
  const unmark = () => change({ marks: now.current.marks.slice(0, -1) })

  useSteps(sweep, setSweep, (values) => sweep && add(values, sweep.blank))
  async function start() {
    const angle = radians(slide.orientation) - Math.PI / 2
    const { rows, columns } = fieldOf(cell.place)
    const reach = (Math.hypot(rows[1] - rows[0] + 1, columns[1] - columns[0] + 1) + slide.width) / 2
    const places = Array.from({ length: SWEEP }, (_, k) => -reach + (2 * reach * k) / (SWEEP - 1))
    const slides = places.map((p) => ({ ...slide, x: p * Math.cos(angle), y: p * Math.sin(angle) }))
    try {
      const { blank, responses: values } = await cell.respond(slides, color)
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches
      if (still) add(values, blank)
      setSweep({ slides, places, values, blank, step: still ? 2 * SWEEP : 0 })
    } catch {} // the stimulus on the screen tells the problem
  }
  const moving = sweep && sweep.step < 2 * SWEEP ? (sweep.step < SWEEP ? sweep.step : 2 * SWEEP - 1 - sweep.step) : undefined
  const shown = moving === undefined ? slide : sweep!.slides[moving]!
  const value = moving === undefined ? last?.value : sweep!.values[moving]!
  const blank = last?.blank ?? 0
  const [sounds, turnSound] = useClicks(value !== undefined && much ? Math.min(Math.max(value / much, 0), 1) : 0)
  const guess = slide.orientation % 180
  const words = `${slide.dark ? "dark" : "bright"} ${slide.kind}${slide.kind === "spot" ? "" : ` at ${digits(guess, 3)}°`}, ${away(slide)}`
  const said = useSettled(value === undefined || moving !== undefined ? "" : `response ${digits(value, 3)}, blank ${digits(blank, 3)}: ${words}`)
  const { place: seen, screen } = cell
  return (
    <>
      {!cell.trained && <p class="state" data-state="untrained">△ Untrained: the weights are fresh random numbers.</p>}
      <div class="bench">
        <div>
          <Screen cell={cell} slide={shown} color={color} marks={marks} move={move} end={end} mark={mark} unmark={unmark}
            label={`Screen of ${screen.height} by ${screen.width} pixels with a ${words}`} />
          <p class="note" id="striate-keys">Drag the stimulus, or its handle to turn it. Keys: arrows move, [ and ] turn, + and - change the width, Space swaps bright and
            dark, Enter leaves a mark, Delete removes the last mark, Home moves the stimulus to the field.</p>
        </div>
        <div>
          <Controls slide={slide} color={color} colors={colors} most={2 * Math.max(screen.height, screen.width)} move={move} choose={(color) => set({ color })} />
          <p class="response"><b data-response={value}>{value === undefined ? "…" : digits(value, 3)}</b> response of <bdi>{cell.node.value}</bdi>, unit {cell.unit} at
            row {seen.position[0]} column {seen.position[1]}; blank screen {digits(blank, 3)}</p>
          <div class="meter" role="meter" aria-label="Response" aria-valuemin={low} aria-valuemax={high > low ? high : low + 1} aria-valuenow={value ?? low}>
            <span style={{ width: `${share(value ?? 0, low, high)}%` }} /><i style={{ left: `${share(blank, low, high)}%` }} />
          </div>
          <Trace values={responses.trace} low={low} high={high} />
          <p class="said" role="status" aria-live="polite">{said}</p>
          {responses.problem && <p class="missing" role="alert">{responses.problem}</p>}
          <div class="buttons">
            <button type="button" aria-pressed={sounds} data-sound onClick={turnSound}>Sound: clicks</button>
            <button type="button" data-sweep onClick={start}>Sweep</button>
            <button type="button" data-leave onClick={mark}>Mark + or −</button>
            <button type="button" disabled={!marks.length} onClick={unmark}>Undo mark</button>
            <button type="button" disabled={!marks.length} onClick={() => change({ marks: [] })}>Clear marks</button>
            <label class="check"><input type="checkbox" checked={trail} onChange={(event) => setTrail(event.currentTarget.checked)} /> mark while moving</label>
          </div>
          <p class="note">Marks: + where the unit responds more than to the blank screen, − where it responds less, a dot where the response is the same.</p>
          {(!seen.inside || seen.surround) && (
            <p class="note">{seen.surround ? "Pixels outside of the field change the response." : "The field reaches beyond the image: padding is part of what the unit sees."}</p>
          )}
          {sweep && <SweepChart sweep={sweep} />}
        </div>
      </div>
      <Protocol cell={cell} guess={guess} />
      <Pool cell={cell} />
      <Border cell={cell} />
    </>
  )
}

const written = (value: string | number) => (typeof value === "number" ? digits(value, 5) : value)
const share = (value: number, low: number, high: number) => Math.min(Math.max(100 * ((value - low) / (high - low || 1)), 0), 100)

function away({ x, y }: Slide): string {
  const far = (value: number, plus: string, minus: string) => (Math.abs(value) < 0.05 ? [] : [`${digits(Math.abs(value), 3)} ${value > 0 ? plus : minus}`])
  return [...far(x, "right", "left"), ...far(y, "up", "down")].join(", ") || "in the middle of the field"
}

/** A text once it has not changed for a moment: a live region that changes all the time says nothing. */
function useSettled(text: string): string {
  const [said, setSaid] = useState("")
  useEffect(() => {
    const timer = setTimeout(() => setSaid(text), PAUSE_MS)
    return () => clearTimeout(timer)
  }, [text])
  return said
}

/** Moves a sweep on. */
function useSteps(sweep: Sweep | undefined, setSweep: (sweep: Sweep) => void, add: (values: number[]) => void) {
  useEffect(() => {
    if (!sweep || sweep.step >= 2 * SWEEP) return undefined
    const timer = setTimeout(() => {
      const at = sweep.step < SWEEP ? sweep.step : 2 * SWEEP - 1 - sweep.step
      add([sweep.values[at]!])
      setSweep({ ...sweep, step: sweep.step + 1 })
    }, SWEEP_MS)
    return () => clearTimeout(timer)
  }, [sweep])
}

function SweepChart({ sweep: { places, values, blank, step } }: { sweep: Sweep }) {
  const points = places.map((p, k): [number, number] => [p, values[k]!])
  const ends = [places[0]!, places[places.length - 1]!] as const
  const at = step < SWEEP ? step : 2 * SWEEP - 1 - step
  return (
    <figure>
      <Chart label="Response over the position of the stimulus, in both directions" from={ends[0]} to={ends[1]} ticks={[ends[0], 0, ends[1]]} unit=" px" blank={blank}
        lines={[{ kind: "first", points: points.slice(0, Math.min(step, SWEEP)) }, { kind: "second", points: step > SWEEP ? points.slice(2 * SWEEP - step) : [] }]}
        dot={step < 2 * SWEEP ? points[at] : undefined} />
      <figcaption class="note" data-swept={step >= 2 * SWEEP ? "" : undefined}>Across the bar, forward (line) and backward (dots): the same curve. The network sees one frame, so direction
        selectivity is not defined.</figcaption>
    </figure>
  )
}

function Controls(props: { slide: Slide; color: string; colors: string[]; most: number; move(slide: Slide): void; choose(color: string): void }) {
  const { slide, move } = props
  const slider = (name: string, key: "orientation" | "width" | "length", least: number, most: number, step: number, unit: string) => (
    <label class="slider">{name} {digits(slide[key]!, 3)}{unit}
      <input type="range" min={least} max={most} step={step} value={slide[key]} onInput={(event) => move({ ...slide, [key]: Number(event.currentTarget.value) })} />
    </label>
  )
  const side = props.most / 4
  return (
    <div class="buttons">
      <span role="group" aria-label="Stimulus" class="buttons">
        {KINDS.map((kind) => (
          <button type="button" key={kind} aria-pressed={slide.kind === kind} onClick={() => move({ ...slide, kind })}>{kind}</button>
        ))}
        <button type="button" aria-pressed={slide.dark === 1} onClick={() => move({ ...slide, dark: 1 - slide.dark })}>dark</button>
      </span>
      {props.colors.length > 1 && (
        <label>Color <select value={props.color} onChange={(event) => props.choose(event.currentTarget.value)}>
          {props.colors.map((one) => <option key={one}>{one}</option>)}
        </select></label>
      )}
      {slide.kind !== "spot" && slider("orientation", "orientation", 0, 359, 1, "°")}
      {slide.kind !== "edge" && slider("width", "width", 0.5, Math.max(side, slide.width), 0.5, " px")}
      {slide.kind === "bar" && slider("length", "length", 1, Math.max(2 * side, slide.length!), 1, " px")}
    </div>
  )
}
