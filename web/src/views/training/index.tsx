// View `training`: curves, confusion matrix and worst images of a run; in the lab, live and compared with other runs.
import { useEffect, useMemo, useState } from "preact/hooks"
import type { Host } from "../../host"
import { digits, grouped, percent, plural } from "../../large"
import { clamp } from "../../parts/grid"
import type { Evaluation, LabRun, PageRun, RunCurves } from "../../record"
import type { View, ViewProps } from "../../view"
import { Chart, type Curve, valueAt } from "./chart"
import { type Cell, Matrix } from "./matrix"

const SERIES = 6
/** Milliseconds between two requests while a run trains. */
const POLL_MS = 1000

function Training({ record, host, parameters, set }: ViewProps) {
  const run = useRun(record.run, host)
  const others = useOthers(host, parameters["with"] ?? "")
  if (!run) return <Runs names={others.names} host={host} />
  const runs = [...(run.curves ? [run.curves] : []), ...others.curves]
  const epochs = Math.max(1, ...runs.map((one) => one.epochs[one.epochs.length - 1] ?? 1))
  return (
    <>
      <h2>{run.name}</h2>
      <p class="state" role="status">{stateOf(run)}</p>
      {others.names.some((name) => name !== run.name) && (
        <fieldset class="choices">
          <legend>Compare with</legend>
          {others.names.filter((name) => name !== run.name).map((name) => (
            <label key={name}>
              <input type="checkbox" checked={others.chosen.includes(name)} onChange={() => set({ with: toggle(others.chosen, name) })} />
              <bdi>{name}</bdi>
            </label>
          ))}
        </fieldset>
      )}
      {run.missing.map((text) => <p class="missing" key={text}>{text}</p>)}
      {runs.length > 0 && <Curves runs={runs} epochs={epochs} pinned={Number(parameters["epoch"] ?? 0)} set={set} />}
      {run.evaluation && run.evaluation.classes.length > 0 && (
        <Evaluated run={run} evaluation={run.evaluation} palette={record.palettes["counts"] ?? []} parameters={parameters} set={set} />
      )}
      <details>
        <summary>How it was trained</summary>
        <dl class="facts">
          {run.facts.map(([label, text]) => (
            <div key={label}><dt>{label}</dt><dd><bdi>{text}</bdi></dd></div>
          ))}
        </dl>
      </details>
    </>
  )
}

/** In the lab, what can be watched where the network itself is not of a run. */
function Runs({ names, host }: { names: string[]; host: Host }) {
  if (!names.length) {
    return <p class="missing">There is no run below the folder in which striate lab was started; striate train writes one.</p>
  }
  return (
    <>
      <h2>Runs</h2>
      <ul class="runs">
        {names.map((name) => (
          <li key={name}>
            <button type="button" onClick={() => host.open?.({ model: name })}><bdi>{name}</bdi></button>
          </li>
        ))}
      </ul>
    </>
  )
}

function toggle(chosen: string[], name: string): string | undefined {
  const next = chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name]
  return next.length ? next.join("|") : undefined
}

function stateOf(run: PageRun): string {
  const curves = run.curves
  if (!curves) return "No epoch has ended yet."
  const done = curves.epochs.length
  const best = curves.best_epoch === null ? "" : ` The best epoch is ${curves.best_epoch}.`
  if (curves.stopped === "unfinished") return `Epoch ${done} of ${curves.planned || "?"}: unfinished.${best}`
  return `${plural(done, "epoch")}, ${curves.stopped}.${best}`
}

/** The run of the record; in the lab, asked for again while it trains, by its name in `runs`. */
function useRun(start: PageRun | undefined, host: Host): PageRun | undefined {
  const [run, setRun] = useState(start)
  useEffect(() => setRun(start), [start])
  const going = run !== undefined && (run.curves === null || run.curves.stopped === "unfinished")
  const name = start?.name ?? ""
  useEffect(() => {
    if (!host.request || !going) return
    const controller = new AbortController()
    let timer = 0
    const ask = () => {
      timer = window.setTimeout(async () => {
        try {
          const now = await host.request?.("run", { name }, { signal: controller.signal })
          if (now) setRun((last) => last && { ...last, ...liveRun(now, last) })
        } catch {
          // The server is busy or gone: the last answer stays.
        }
        if (!controller.signal.aborted) ask()
      }, POLL_MS)
    }
    ask()
    return () => {
      controller.abort()
      clearTimeout(timer)
    }
  }, [host, going, name])
  return run
}

function liveRun(now: LabRun, last: PageRun): Pick<PageRun, "curves" | "evaluation" | "missing"> {
  const resumed = last.curves?.resumed ?? []
  return { curves: now.rows.length ? curvesOf(now, resumed) : null, evaluation: now.evaluation, missing: [] }
}

const MEASURES = ["lr", "train_loss", "validation_loss", "train_accuracy", "validation_accuracy"]

/** The rows of a run as curves. */
function curvesOf(run: LabRun, resumed: number[] = []): RunCurves {
  const measures = MEASURES.filter((name) => run.rows.some((row) => name in row)).map(
    (name) => [name, run.rows.map((row) => row[name] ?? null)] as const,
  )
  return {
    name: run.name,
    epochs: run.rows.map((row) => row["epoch"] ?? 0),
    measures: Object.fromEntries(measures),
    best_epoch: run.best_epoch,
    best: {},
    stopped: run.state === "running" || run.state === "stopped" ? "unfinished" : run.ended,
    planned: run.planned,
    resumed,
    seconds: run.rows.reduce((sum, row) => sum + (row["seconds"] ?? 0), 0),
  }
}

/** Names of the other runs that the server knows, and the curves of those chosen. */
function useOthers(host: Host, chosen: string) {
  const [names, setNames] = useState<string[]>([])
  const [curves, setCurves] = useState<RunCurves[]>([])
  const wanted = useMemo(() => chosen.split("|").filter(Boolean), [chosen])
  useEffect(() => {
    host.request?.("runs", {}).then(({ runs }) => setNames(runs.map((run) => run.name)), () => setNames([]))
  }, [host])
  useEffect(() => {
    let stale = false
    const { request } = host
    if (!request) return
    Promise.allSettled(wanted.map((name) => request("run", { name }))).then((answers) => {
      if (stale) return
      const runs = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []))
      setCurves(runs.filter((run) => run.rows.length).map((run) => curvesOf(run)))
    })
    return () => {
      stale = true
    }
  }, [host, wanted])
  return { names, curves, chosen: wanted }
}

function Curves(props: { runs: RunCurves[]; epochs: number; pinned: number; set: ViewProps["set"] }) {
  const { runs, epochs, pinned, set } = props
  const [hovered, setHovered] = useState(0)
  const at = Math.min(hovered || pinned || epochs, epochs)
  const single = runs.length === 1
  const color = (run: number, trains: boolean) => `var(--series-${single && trains ? 2 : (run % SERIES) + 1})`
  const panels = ["loss", "accuracy", "lr"].map((measure) => ({
    measure,
    curves: runs.flatMap((run, k) =>
      (measure === "lr" ? ["lr"] : [`validation_${measure}`, `train_${measure}`]).flatMap((name): Curve[] => {
        const values = run.measures[name]
        if (!values || values.every((value) => value === null)) return []
        if (measure === "lr" && new Set(values).size < 2) return []
        const trains = name.startsWith("train")
        const word = measure === "lr" ? "" : trains ? "training" : "validation"
        return [{
          name: single ? word || "rate" : [run.name, word].filter(Boolean).join(", "),
          color: color(k, trains), dashed: trains, run, values,
        }]
      }),
    ),
  }))
  function onEpoch(epoch: number, pin: boolean) {
    setHovered(pin ? 0 : epoch)
    if (pin) set({ epoch: epoch === pinned ? undefined : epoch }, true)
  }
  function onKey(event: KeyboardEvent) {
    const next: Record<string, number> = {
      ArrowLeft: at - 1, ArrowRight: at + 1, Home: 1, End: epochs, PageUp: at - 10, PageDown: at + 10,
    }
    const to = next[event.key]
    if (to !== undefined) {
      setHovered(0)
      set({ epoch: clamp(to - 1, epochs) + 1 }, true)
    } else if (event.key === "Escape") {
      setHovered(0)
      set({ epoch: undefined }, true)
    } else return
    event.preventDefault()
  }
  const shown = panels.filter((panel) => panel.curves.length)
  const read = shown.flatMap(({ measure, curves }) =>
    curves.map((curve) => {
      const value = valueAt(curve, at)
      const text = value === null ? "none" : measure === "accuracy" ? percent(value) : digits(value)
      const title = measure === "lr" ? "learning rate" : measure
      return { key: `${measure} ${curve.name}`, label: single && measure === "lr" ? title : `${curve.name} ${title}`, text, color: curve.color }
    }),
  )
  return (
    <div
      class="curves"
      tabIndex={0}
      role="application"
      aria-roledescription="curves"
      aria-label={`Curves of ${epochs} epochs. The left and right arrow keys choose an epoch.`}
      onKeyDown={onKey}
      onMouseLeave={() => setHovered(0)}
    >
      <div class="panels">
        {shown.map(({ measure, curves }) => (
          <Chart
            key={measure}
            title={measure === "lr" ? "learning rate" : measure}
            share={measure === "accuracy"}
            curves={curves}
            epochs={epochs}
            at={at}
            best={runs.map((run, k) => ({ run, color: color(k, false) }))}
            onEpoch={onEpoch}
          />
        ))}
      </div>
      <p class="note">
        Solid lines are validation, dashed lines training. A ring marks the best epoch.
        {runs.some((run) => run.resumed.length > 0) && " A vertical line marks where a run was continued."}
      </p>
      <div class="reading" aria-live="polite" data-epoch={at}>
        <strong>epoch {at}</strong>
        <dl>
          {read.map((one) => (
            <div key={one.key}><dt style={{ color: one.color }}>{one.label}</dt><dd>{one.text}</dd></div>
          ))}
        </dl>
      </div>
    </div>
  )
}

function Evaluated(props: {
  run: PageRun
  evaluation: Evaluation
  palette: string[]
  parameters: Record<string, string>
  set: ViewProps["set"]
}) {
  const { run, evaluation, palette, parameters, set } = props
  const { classes, confusion_matrix: matrix } = evaluation
  const [hovered, setHovered] = useState<Cell | null>(null)
  const pinned = cellFrom(parameters["cell"], classes.length)
  const at = hovered ?? pinned ?? { row: 0, column: 0 }
  const total = (matrix[at.row] ?? []).reduce((sum, value) => sum + value, 0)
  const count = matrix[at.row]?.[at.column] ?? 0
  const label = classes[at.row] ?? ""
  const predicted = classes[at.column] ?? ""
  const images = evaluation.worst
    .map((entry, k) => ({ entry, picture: run.worst[k] }))
    .filter(({ entry }) => !pinned || (entry.label === classes[pinned.row] && entry.predicted === classes[pinned.column]))
  return (
    <>
      <h3>Confusion matrix</h3>
      <p class="numbers">
        {plural(evaluation.images, "image")}: accuracy {percent(evaluation.accuracy)}, loss{" "}
        {evaluation.loss.toFixed(4)}.
      </p>
      <Matrix
        evaluation={evaluation}
        palette={palette}
        at={at}
        pinned={pinned !== null && hovered === null}
        onCell={(cell, pin) => {
          setHovered(pin ? null : cell)
          if (!pin) return
          const text = `${cell.row},${cell.column}`
          set({ cell: text === parameters["cell"] ? undefined : text }, true)
        }}
      />
      <p class="reading" aria-live="polite" data-cell={`${at.row},${at.column}`}>
        true class <bdi>{label}</bdi>, predicted <bdi>{predicted}</bdi>: {grouped(String(count))} of {plural(total, "image")}
        {total > 0 && ` (${percent(count / total)})`}
      </p>
      <div class="scroll" tabIndex={0} role="group" aria-label="Classes">
        <table>
          <caption>Classes</caption>
          <thead>
            <tr><th scope="col">class</th><th scope="col" class="number">precision</th><th scope="col" class="number">recall</th>
              <th scope="col" class="number">F1</th><th scope="col" class="number">images</th></tr>
          </thead>
          <tbody>
            {evaluation.per_class.map((score) => (
              <tr key={score.name}>
                <th scope="row"><bdi>{score.name}</bdi></th>
                <td class="number">{percent(score.precision)}</td>
                <td class="number">{percent(score.recall)}</td>
                <td class="number">{score.f1.toFixed(3)}</td>
                <td class="number">{grouped(String(score.images))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <h3>Worst images</h3>
      {pinned && (
        <p>
          Only true class <bdi>{classes[pinned.row]}</bdi>, predicted <bdi>{classes[pinned.column]}</bdi>.{" "}
          <button type="button" onClick={() => set({ cell: undefined }, true)}>Show all</button>
        </p>
      )}
      {images.length === 0 && <p class="missing">None of the {evaluation.worst.length} images with the largest losses is in this cell.</p>}
      <ul class="images">
        {images.map(({ entry, picture }) => (
          <li key={entry.id}>
            {picture?.uri ? (
              <img src={picture.uri} width={picture.width} height={picture.height} alt={`${entry.name}: true class ${entry.label}`} />
            ) : (
              <p class="missing">{picture?.note ?? "no picture"}</p>
            )}
            <p>predicted <bdi>{entry.predicted}</bdi>, {percent(entry.confidence)}</p>
            <p>true class <bdi>{entry.label}</bdi></p>
            <p class="note"><bdi>{entry.name}</bdi>; loss {entry.loss.toFixed(4)}</p>
          </li>
        ))}
      </ul>
    </>
  )
}

function cellFrom(text: string | undefined, count: number): Cell | null {
  const [row, column] = (text ?? "").split(",").map(Number)
  const fits = (value: number | undefined): value is number => Number.isInteger(value) && (value ?? -1) >= 0 && (value ?? 0) < count
  return fits(row) && fits(column) ? { row, column } : null
}

export const training: View = {
  name: "training",
  title: "Training",
  missing: (record, host) =>
    record.run || host.request ? "" : "This page shows a network without a training run; striate report RUN and striate lab RUN show one.",
  Component: Training,
}
