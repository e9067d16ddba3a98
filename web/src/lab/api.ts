// What the page of `striate lab` asks of Python: `host.request("record", {text}, {signal})`.
import type {
  LabActivations,
  LabComparison,
  LabElectrode,
  LabFixed,
  LabPictures,
  LabRecord,
  LabRefusal,
  LabResponses,
  LabRun,
  LabRuns,
  LabViews,
  Probe,
  ProbedBorder,
  Rules,
} from "../record"
import { bare } from "../names"

/** A network: its text, or the name of one (of the catalogue, or the model that the page was opened with). */
export interface Source {
  /** notation or TOML */
  text?: string
  /** instead of a text */
  model?: string
  /** input size `HxWxC`, instead of the network's own */
  input?: string
}

/** A unit: its node, its channel, and its place, `center`, `edge`, `corner` or `row.column`. */
export interface Probed {
  node: string
  unit: number
  at: string
}

/** A stimulus that is moved by hand, as striate/probe/stimuli.py: `Slide`, with its orientation in degrees. */
export interface Slide {
  /** bar, edge, grating or spot */
  kind: string
  orientation: number
  /** pixels to the right of the field's center, and above it */
  x: number
  y: number
  width: number
  /** of a bar; without it the bar crosses the screen */
  length?: number
  /** 1: dark where it would be bright */
  dark: number
}

/** Name of a request to its body and its answer. */
export interface Requests {
  /** The network, checked. */
  record: [Source, LabRecord]
  /** Pictures as `striate draw` makes them: kinds blocks, graph, field, pixels, layer, fc (none: those of a
   * report); of a node, of a unit [y, x] of it. */
  pictures: [Source & { kinds: string[]; node?: string; unit?: number[] }, LabPictures]
  /** What views need of it besides. */
  views: [Source, LabViews]
  /** A fix made in the text: its finding by code and node, and the fix by its text. */
  fix: [Source & { code: string; node: string | null; fix: string }, LabFixed]
  compare: [{ a: Source; b: Source }, LabComparison]
  /** Exact values of an image: pixels is base64 of 8-bit numbers, height x width x channels; percent: of the way from
   * the weights before training to the trained ones. */
  activations: [
    Source & { image: { pixels: string; height: number; width: number; channels: number }; nodes: string[]; percent: number },
    LabActivations,
  ]
  /** What an electrode in a node reads, and where it can be. */
  electrode: [Source & { node: string; at: string }, LabElectrode]
  /** Responses of a unit to at most 256 stimuli. */
  respond: [Source & Probed & { slides: Slide[]; color: string }, LabResponses]
  /** The protocol: of a unit, of a max-pool after it, and at borders. */
  protocol: [Source & Probed, Probe]
  pooled: [Source & Probed & { size: number }, Probe]
  border: [Source & Probed, ProbedBorder]
  /** A run of `runs`. since: rows that the page has. */
  run: [{ name: string; since?: number }, LabRun]
  runs: [Record<string, never>, LabRuns]
  explain: [{ code: string }, Rules]
}

export type Request = <Name extends keyof Requests>(
  name: Name,
  body: Requests[Name][0],
  options?: { signal?: AbortSignal },
) => Promise<Requests[Name][1]>

/** A request that Python refused: the problem has what, where, why and fix. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly problem: LabRefusal["problem"],
  ) {
    super(problem.message)
  }
}

/** The server has ended, or another one answers in its place. */
export class Lost extends Error {}

/** Requests of the page's own server. Raises Refused, Lost or TypeError without a connection, AbortError. */
export const request: Request = async (name, body, options = {}) => {
  const response = await fetch(`/api/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    ...options,
  })
  if (!response.headers.get("content-type")?.startsWith("application/json")) throw new Lost()
  const answer = bare(await response.json())
  if ("problem" in answer) throw new Refused(response.status, (answer as LabRefusal).problem)
  return answer
}
