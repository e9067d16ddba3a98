// The protocol on the unit, on a max-pool after it, and at borders.
import type { ProbedBorder } from "../../record"
import { digits, useEffect, useRef, useState } from "../../shared"
import type { Cell, Progress } from "./cell"
import { Chart, Polar } from "./charts"
import type { Tuned } from "./tuning"

const MOST_POOL = 8

interface Task<T> {
  busy: boolean
  share: number
  result: T | undefined
  problem: string
}

/** Work that takes seconds: its state, what starts it, and what stops it. A later start stops an earlier one. */
function useTask<T>(): [Task<T>, (work: (progress: Progress, signal: AbortSignal) => Promise<T>) => void, () => void] {
  const [task, setTask] = useState<Task<T>>({ busy: false, share: 0, result: undefined, problem: "" })
  const controller = useRef<AbortController | undefined>(undefined)
  const stop = () => {
    controller.current?.abort()
    setTask((one) => ({ ...one, busy: false }))
  }
  useEffect(() => () => controller.current?.abort(), [])
  return [
    task,
    (work) => {
      controller.current?.abort()
      const mine = (controller.current = new AbortController())
      const set = (changes: Partial<Task<T>>) => !mine.signal.aborted && setTask((one) => ({ ...one, ...changes }))
      set({ busy: true, share: 0, problem: "" })
      work((share) => set({ share }), mine.signal).then(
        (result) => set({ busy: false, result }),
        (error: Error) => set({ busy: false, problem: error.message }),
      )
    },
    stop,
  ]
}

function Working({ task, stop }: { task: Task<unknown>; stop: () => void }) {
  return (
    <>
      {task.busy && (
        <p class="working">
          <progress aria-label="Progress" {...(task.share ? { value: task.share } : {})} /> <button type="button" onClick={stop}>Stop</button>
        </p>
      )}
      {task.problem && <p class="missing" role="alert">{task.problem}</p>}
    </>
  )
}

const degrees = (value: number | null) => (value === null ? "no preferred orientation" : `${Math.round(10 * value) / 10}°`)
const number = (value: number | null) => (value === null ? "–" : value.toFixed(value < 0.1 ? 3 : 2))

/** Degrees between two orientations, at most 90. */
const apart = (a: number, b: number) => Math.abs(((((a - b + 90) % 180) + 180) % 180) - 90)

export function Protocol({ cell, guess }: { cell: Cell; guess: number }) {
  const [task, start, stop] = useTask<{ tuned: Tuned; guess: number }>()
  const found = task.result
  return (
    <section>
      <h2>Run the protocol</h2>
      <p class="note">Turn the bar until the unit responds most: its orientation is your guess. The protocol shows gratings of 24 orientations, 8
        frequencies and 16 phases, and measures.</p>
      <button type="button" data-run onClick={() => start(async (progress, signal) => ({ guess, tuned: await cell.measure(1, progress, signal) }))}>
        Run the protocol: my guess is {degrees(guess)}
      </button>
      <Working task={task} stop={stop} />
      <p class="verdict" role="status" data-compared>{found && verdict(found.tuned, found.guess)}</p>
      {found && <Found {...found} />}
    </section>
  )
}

function verdict({ type, orientation }: Tuned, guess: number): string {
  if (type === "none") return "No response: no grating drives this unit."
  const gap = orientation === null ? "" : ` (${degrees(apart(guess, orientation))} apart)`
  return `you: ${degrees(guess)}, measured: ${degrees(orientation)}${gap}`
}

function Found({ tuned, guess }: { tuned: Tuned; guess: number }) {
  const { curve, orientation } = tuned
  if (tuned.type === "none") return null
  const lines = [
    { at: guess, degrees: guess, name: "you", kind: "second" as const },
    ...(orientation === null ? [] : [{ at: orientation, degrees: orientation, name: "measured", kind: "first" as const }]),
  ]
  const facts = {
    "F1/F0": `${number(tuned.f1_f0)}${tuned.type ? `, ${tuned.type}` : ""}`,
    "circular variance": number(tuned.cv),
    "two-point index (OSI)": number(tuned.osi),
    "spatial frequency": tuned.frequency === null ? "–" : `${digits(tuned.frequency, 3)} cycles per pixel`,
  }
  return (
    <>
      <div class="found">
        <Chart label="Tuning curve: drive by orientation of the bars" from={0} to={180} ticks={[0, 45, 90, 135, 180]} unit="°" marks={lines}
          lines={[{ kind: "first", points: [...curve, curve[0]!].map((drive, k) => [(180 * k) / curve.length, drive]) }]} />
        <Polar curve={curve} lines={lines} />
        <dl class="facts">
          {Object.entries(facts).map(([name, text]) => (
            <div key={name}><dt>{name}</dt><dd>{text}</dd></div>
          ))}
        </dl>
      </div>
      <p class="note">F1/F0 over 1: simple. Below 1: complex{tuned.type === "" ? ", or a positive bias: striate lab and striate probe tell them apart" : " if bright and dark stimuli drive it at the same places"}.</p>
      {tuned.notes.length > 0 && <ul class="note">{tuned.notes.map((note) => <li key={note}>{note}</li>)}</ul>}
    </>
  )
}

export function Pool({ cell }: { cell: Cell }) {
  const most = Math.min(MOST_POOL, ...cell.node.map)
  const [size, setSize] = useState(1)
  const [series, setSeries] = useState<Record<number, Tuned>>({})
  const [task, start, stop] = useTask<void>()
  const compute = (sizes: number[]) =>
    start(async (progress, signal) => {
      for (const [k, one] of sizes.entries()) {
        setSize(one)
        const tuned = await cell.measure(one, (share) => progress((k + share) / sizes.length), signal)
        setSeries((now) => ({ ...now, [one]: tuned }))
      }
    })
  const now = series[size]
  const side = (one: number) => `${one} x ${one}`
  return (
    <section>
      <h2>A complex cell from simple cells</h2>
      <p class="note">A max-pool over neighbors of the unit keeps the preferred orientation and depends less on the position of the bar: F1/F0 falls (Hubel and Wiesel 1962).</p>
      {most < 2 ? <p class="note">The map is too small to pool over.</p> : (
        <>
          <div class="buttons">
            <label class="slider">pool of {side(size)}
              <input type="range" min={1} max={most} value={size} aria-valuetext={side(size)} onInput={(event) => compute([Number(event.currentTarget.value)])} />
            </label>
            <button type="button" onClick={() => compute(Array.from({ length: most }, (_, k) => k + 1))}>All sizes</button>
          </div>
          <Working task={task} stop={stop} />
          <p class="verdict" role="status" data-pooled>{now && `pool of ${side(size)}: F1/F0 ${number(now.f1_f0)}`}</p>
          <div class="found">
            {now && now.phases.length > 0 && (
              <Chart label={`Response over the phase of the best grating, pool of ${side(size)}`} from={0} to={360} ticks={[0, 90, 180, 270, 360]} unit="°" blank={now.blank}
                lines={[{ kind: "first", points: [...now.phases, now.phases[0]!].map((value, k) => [(360 * k) / now.phases.length, value]) }]} />
            )}
            {Object.keys(series).length > 0 && (
              <div class="scroll" tabIndex={0} role="region" aria-label="Measures by size of the pool">
              <table>
                <thead><tr><th>pool</th><th>F1/F0</th><th>circular variance</th><th>orientation</th></tr></thead>
                <tbody>
                  {Object.entries(series).map(([one, { f1_f0, cv, orientation }]) => (
                    <tr key={one} data-pool={one} data-ratio={f1_f0 ?? ""} class={Number(one) === size ? "now" : undefined}>
                      <th scope="row">{side(Number(one))}</th>
                      <td class="ratio"><span>{number(f1_f0)}</span><span class="share" aria-hidden="true"><span style={{ width: `${50 * (f1_f0 ?? 0)}%` }} /></span></td>
                      <td>{number(cv)}</td><td>{orientation === null ? "–" : degrees(orientation)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
              </div>
            )}
          </div>
        </>
      )}
    </section>
  )
}

export function Border({ cell }: { cell: Cell }) {
  const [task, start, stop] = useTask<ProbedBorder>()
  const { border } = cell
  const rows = task.result?.modes.flatMap(({ mode, places }) =>
    Object.entries(places).map(([place, probe]) => ({ mode, place, unit: probe.units[0]! })))
  return (
    <section>
      <h2>At the border</h2>
      <p class="note">Zero padding makes an artificial edge, and units at a border respond to it. Compare the same unit at the center, at the left edge and in the
        upper left corner, with each padding mode in all convolutions.</p>
      {border ? <button type="button" data-border onClick={() => start((_, signal) => border(signal))}>Compare the places</button>
        : <p class="note">A saved page cannot change the padding: <code>striate probe MODEL --node {cell.node.node} --unit {cell.unit} --border</code>, or striate lab MODEL.</p>}
      <Working task={task} stop={stop} />
      <p class="note" role="status">
        {task.result && (task.result.padded ? `${task.result.modes.length} padding modes compared.` : "No layer before the unit has padding: all modes give the same.")}
      </p>
        {rows && (
          <div class="scroll" tabIndex={0} role="region" aria-label="Measures by padding and place">
            <table>
              <thead><tr><th>padding</th><th>place</th><th>orientation</th><th>circular variance</th><th>F1/F0</th><th>type</th></tr></thead>
              <tbody>
                {rows.map(({ mode, place, unit }) => (
                  <tr key={mode + place} data-place={`${mode} ${place}`}>
                    <th scope="row">{mode}</th><td>{place}</td><td>{unit.orientation_deg === null ? "–" : degrees(unit.orientation_deg)}</td>
                    <td>{number(unit.cv)}</td><td>{number(unit.f1_f0)}</td><td>{unit.type === "none" ? "no response" : unit.type}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
    </section>
  )
}
