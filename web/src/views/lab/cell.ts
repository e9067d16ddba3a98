// An electrode in one unit: where its responses come from. `striate lab` computes them in Python; a saved page that holds
// the network computes them by itself.
import type { Slide } from "../../lab/api"
import type { HandNode, HandPlace, HandScreen, LivePage, PageModel, Probe, ProbedBorder, ShownNode } from "../../record"
import type { Host } from "../../host"
import { compile, inputFrom } from "../../shared"
import { type Area, ORIENTATIONS, PHASES, gratingPattern, ladder, middle, slidePattern } from "./stimuli"
import { type Tuned, tune } from "./tuning"

/** Called with the share of the work that is done. */
export type Progress = (share: number) => void

export interface Cell {
  node: HandNode
  screen: HandScreen
  place: HandPlace
  unit: number
  trained: boolean
  /** Where it is, in a few words; another electrode has another key. */
  key: string
  /** Responses to stimuli, and to the blank screen. */
  respond(slides: Slide[], color: string): Promise<{ blank: number; responses: number[] }>
  /** The protocol on a max-pool over size x size neighbors; 1: on the unit itself. */
  measure(size: number, progress: Progress, signal: AbortSignal): Promise<Tuned>
  /** Absent where the page cannot change the padding. */
  border?(signal: AbortSignal): Promise<ProbedBorder>
}

export const fieldOf = ({ field }: HandPlace): Area => ({ rows: pair(field.h), columns: pair(field.w) })
const pair = ([first = 0, last = 0]: number[]): [number, number] => [first, last]

/** The measures of a record. */
function tunedOf(probe: Probe): Tuned {
  const unit = probe.units[0]!
  return {
    orientation: unit.orientation_deg,
    cv: unit.cv,
    osi: unit.osi,
    f1_f0: unit.f1_f0,
    frequency: unit.frequency_cpp,
    type: unit.type,
    curve: unit.curves?.orientation ?? [],
    phases: unit.curves?.phase ?? [],
    blank: unit.responses["blank"] ?? 0,
    notes: [...unit.notes, ...probe.notes],
  }
}

/** An electrode that Python holds. at: `center`, `edge`, `corner` or `row.column`. */
export async function servedCell(host: Host, node: string, unit: number, at: string): Promise<Cell> {
  const request = host.request!
  const source = host.source!()
  const found = await request("electrode", { ...source, node, at })
  const place = found.node.places[at] ?? Object.values(found.node.places)[0]!
  const probed = { ...source, node, unit: Math.min(unit, found.node.units - 1), at: place.position.join(".") }
  return {
    ...found, place, unit: probed.unit,
    key: JSON.stringify(probed),
    respond: (slides, color) => request("respond", { ...probed, slides, color }),
    measure: async (size, _, signal) =>
      tunedOf(size > 1 ? await request("pooled", { ...probed, size }, { signal }) : await request("protocol", probed, { signal })),
    border: (signal) => request("border", probed, { signal }),
  }
}

/** The nodes of a model that lead to a value. */
function partUpTo(model: PageModel, value: string): PageModel {
  const wanted = new Set([value])
  const nodes = [...model.nodes].reverse().filter((node) => {
    if (!node.outputs.some((one) => wanted.has(one))) return false
    for (const one of node.inputs) wanted.add(one)
    return true
  })
  return { ...model, nodes: nodes.reverse() }
}

/** What a unit of a node sees, cut at the borders of the screen. */
function seen(node: ShownNode, screen: HandScreen, row: number, column: number): HandPlace {
  const span = (axis: string, at: number, size: number): [number[], boolean] => {
    const { start, jump, size: extent } = node.receptive_field[axis] ?? { start: 0, jump: 0, size }
    const [first, last] = [Math.floor(start + at * jump), Math.ceil(start + at * jump) + extent - 1]
    return [[Math.max(first, 0), Math.min(last, size - 1)], first >= 0 && last < size]
  }
  const [[h, highInside], [w, wideInside]] = [span("h", row, screen.height), span("w", column, screen.width)]
  return { position: [row, column], field: { h, w }, inside: highInside && wideInside, surround: false }
}

const PAUSE_MS = 25

/** An electrode in the network that the page holds. */
export function heldCell(record: LivePage, name: string, unit: number, at: string): Cell {
  const [model, { screen, nodes }] = [record.model!, record.experiment!]
  const node = nodes.find((one) => one.node === name) ?? nodes[0]!
  const shown = record.show.nodes.find((one) => one.name === node.node)!
  const named = Object.hasOwn(node.places, at) ? node.places[at] : undefined
  const [row, column] = at.split(".").map(Number)
  const inMap = Number.isInteger(row) && Number.isInteger(column) && row! >= 0 && row! < node.map[0]! && column! >= 0 && column! < node.map[1]!
  const place = named ?? (inMap ? seen(shown, screen, row!, column!) : (node.places["center"] ?? Object.values(node.places)[0]!))
  const [high, wide] = node.map as [number, number]
  const channel = Math.min(unit, node.units - 1)
  const run = compile(partUpTo(model, node.value))
  const input = Object.keys(model.inputs)[0]!
  const everything: Area = { rows: [0, screen.height - 1], columns: [0, screen.width - 1] }
  const field = fieldOf(place)

  /** The unit's map for a pattern on an area; the rest of the screen is gray. color: luminance if there is no such. */
  function mapFor(pattern: Float64Array, area: Area, color: string): Float32Array {
    const amplitudes = screen.colors[color] ?? Object.values(screen.colors)[0]!
    const across = area.columns[1] - area.columns[0] + 1
    const planes = screen.gray.map((gray, c) => {
      const plane = new Float32Array(screen.height * screen.width).fill(gray)
      pattern.forEach((value, k) => {
        const to = (area.rows[0] + Math.floor(k / across)) * screen.width + area.columns[0] + (k % across)
        plane[to]! += amplitudes[c]! * value
      })
      return plane
    })
    const values = run(new Map([[input, inputFrom(model, planes, false)]])).get(node.value)!
    return values.subarray(channel * high * wide, (channel + 1) * high * wide)
  }
  const own = (map: Float32Array) => map[place.position[0]! * wide + place.position[1]!]!
  const blank = () => mapFor(new Float64Array(0), field, "")
  const kept = new Map<number, Tuned>()

  return {
    node, screen, place, unit: channel,
    trained: record.drawing?.trained ?? true,
    key: `${node.node} ${channel} ${place.position}`,
    async respond(slides, color) {
      const responses: number[] = []
      await slowly(slides.length, (k) => responses.push(own(mapFor(slidePattern(slides[k]!, everything, field), everything, color))))
      return { blank: own(blank()), responses }
    },
    async measure(size, progress, signal) {
      const known = kept.get(size)
      if (known) return known
      const start = (index: number, count: number) => Math.min(Math.max(index - Math.floor((size - 1) / 2), 0), count - size)
      const [top, left] = [start(place.position[0]!, high), start(place.position[1]!, wide)]
      const corners = [seen(shown, screen, top, left), seen(shown, screen, top + size - 1, left + size - 1)].map(fieldOf) as [Area, Area]
      const area: Area = size === 1 ? field
        : { rows: [corners[0].rows[0], corners[1].rows[1]], columns: [corners[0].columns[0], corners[1].columns[1]] }
      const read = (map: Float32Array) => {
        let most = -Infinity
        for (let i = top; i < top + size; i++) for (let j = left; j < left + size; j++) most = Math.max(most, map[i * wide + j]!)
        return size === 1 ? own(map) : most
      }
      const frequencies = ladder(field)
      const responses = Array.from({ length: ORIENTATIONS }, () => frequencies.map(() => new Array<number>(PHASES).fill(0)))
      await slowly(ORIENTATIONS * frequencies.length * PHASES, (n) => {
        const [phase, f, turn] = [n % PHASES, Math.floor(n / PHASES) % frequencies.length, Math.floor(n / PHASES / frequencies.length)]
        const pattern = gratingPattern((Math.PI * turn) / ORIENTATIONS, frequencies[f]!, (2 * Math.PI * phase) / PHASES, area, area)
        responses[turn]![f]![phase] = read(mapFor(pattern, area, ""))
      }, progress, signal)
      const tuned = tune(responses, read(blank()), frequencies)
      if (!record.drawing?.trained) tuned.notes.push("weights: untrained, seed 0")
      kept.set(size, tuned)
      return tuned
    },
  }
}

/** Do something many times, in parts between which the page stays alive. */
async function slowly(count: number, work: (k: number) => void, progress?: Progress, signal?: AbortSignal): Promise<void> {
  let since = performance.now()
  for (let k = 0; k < count; k++) {
    work(k)
    if (performance.now() - since < PAUSE_MS) continue
    progress?.(k / count)
    await new Promise((resume) => setTimeout(resume))
    if (signal?.aborted) throw new DOMException("", "AbortError")
    since = performance.now()
  }
}

/** The middle of the field, in pixels from the upper left corner of the screen. */
export function origin(place: HandPlace): { x: number; y: number } {
  const [row, column] = middle(fieldOf(place))
  return { x: column + 0.5, y: row + 0.5 }
}
