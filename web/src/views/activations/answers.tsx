// Probabilities of the classes as bars.
import { percent } from "../../large"
import { ShareBar } from "../../parts/share"

const MAX_BARS = 12

export function Answers({ classes, shares }: { classes: string[]; shares: number[] }) {
  const order = shares.map((_, k) => k)
  const best = order.reduce((one, k) => (shares[k]! > shares[one]! ? k : one), 0)
  const shown = shares.length <= MAX_BARS ? order : [...order].sort((a, b) => shares[b]! - shares[a]!).slice(0, 10)
  return (
    <>
      <ol class="answers">
        {shown.map((k) => (
          <li key={k} class={k === best ? "best" : undefined} data-class={k} data-probability={shares[k]}>
            <bdi>{classes[k] ?? k}</bdi>
            <ShareBar share={shares[k]!} />
            <span class="number">{percent(shares[k]!)}</span>
          </li>
        ))}
      </ol>
      {shown.length < shares.length && <p class="note">The {shown.length} most probable of {shares.length} classes.</p>}
    </>
  )
}

/** The most probable class, in words. */
export function verdict(classes: string[], shares: number[]): string {
  const best = shares.reduce((one, share, k) => (share > shares[one]! ? k : one), 0)
  return `Most probable: ${classes[best] ?? best}, ${percent(shares[best]!)}.`
}
