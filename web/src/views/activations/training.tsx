// The slider between the weights before training and the trained ones.
import type { Drawing } from "../../record"

/** Per cent of the way that a route names; without a number all of it. */
export function percentOf(drawing: Drawing, text: string | undefined): number {
  const percent = Math.round(Number(text ?? 100))
  return drawing.before && percent >= 0 && percent <= 100 ? percent : 100
}

export function Training({ drawing, percent, go }: { drawing: Drawing; percent: number; go(percent: number): void }) {
  const { before, no_before: why } = drawing
  if (!before) return why ? <p class="note" data-no-before>Before and after training cannot be compared here: {why}.</p> : null
  const words =
    percent === 0 ? `Before training: ${before}.`
    : percent === 100 ? "After training: the weights that the run has kept."
    : `${percent} % of the way along the straight line from the initial to the trained weights. Training itself took another path.`
  const end = (at: number, text: string) => (
    <button type="button" aria-pressed={percent === at} onClick={() => go(at)}>{text}</button>
  )
  return (
    <>
      <div class="training" role="group" aria-label="Weights before and after training">
        {end(0, "before training")}
        <input type="range" min={0} max={100} value={percent} aria-label="Weights, from before to after training" aria-valuetext={words}
          onInput={(event) => go(Number(event.currentTarget.value))} />
        {end(100, "after training")}
      </div>
      <p class="note" data-percent={percent}>{words}</p>
    </>
  )
}
