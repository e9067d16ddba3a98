// The response to the stimulus on the screen: asked for one after the other, the newest first.
import type { Slide } from "../../lab/api"
import { useEffect, useRef, useState } from "../../shared"
import type { Cell } from "./cell"
import { TRACE } from "./charts"

export interface Answer {
  slide: Slide
  value: number
  blank: number
}

export interface Responses {
  last: Answer | undefined
  /** The newest last. */
  trace: number[]
  /** Smallest and largest so far, blank screen included; 0 counts. */
  low: number
  high: number
  problem: string
  /** Take responses that were asked for elsewhere. */
  add(values: number[], blank: number): void
}

/** Orientations of the bars that are shown first, so that the meter knows what is much. */
const FIRST = 12

export function useResponses(cell: Cell, slide: Slide, color: string, onAnswer: (answer: Answer, high: number) => void): Responses {
  const [state, setState] = useState({ last: undefined as Answer | undefined, trace: [] as number[], low: 0, high: 0, problem: "" })
  const now = useRef(state)
  const wanted = useRef<[Slide, string] | undefined>(undefined)
  const busy = useRef(false)
  const alive = useRef(true)
  const told = useRef(onAnswer)
  told.current = onAnswer
  const set = (changes: Partial<typeof state>) => {
    now.current = { ...now.current, ...changes }
    if (alive.current) setState(now.current)
  }
  const range = (values: number[]) => ({ low: Math.min(now.current.low, ...values), high: Math.max(now.current.high, ...values) })
  const add = (values: number[], blank: number) =>
    set({ ...range([...values, blank]), trace: [...now.current.trace, ...values].slice(-TRACE) })
  async function pump() {
    if (busy.current) return
    busy.current = true
    while (alive.current && wanted.current) {
      const [shown, axis] = wanted.current
      wanted.current = undefined
      try {
        const { blank, responses } = await cell.respond([shown], axis)
        const last = { slide: shown, value: responses[0]!, blank }
        add(responses, blank)
        set({ last, problem: "" })
        if (alive.current) told.current(last, Math.max(now.current.high, -now.current.low))
      } catch (error) {
        set({ problem: (error as Error).message })
      }
    }
    busy.current = false
  }
  useEffect(() => {
    wanted.current = [slide, color]
    void pump()
  }, [slide, color])
  useEffect(() => {
    const bars = [0, 1].flatMap((dark) => Array.from({ length: FIRST }, (_, k) => ({ ...slide, kind: "bar", orientation: (180 * k) / FIRST, x: 0, y: 0, dark })))
    cell.respond(bars, color).then(({ blank, responses }) => set(range([...responses, blank])), () => undefined)
    return () => void (alive.current = false)
  }, [])
  return { ...state, add }
}
