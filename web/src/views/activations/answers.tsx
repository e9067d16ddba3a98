// Probabilities of the classes as bars.
const MOST = 12

export function Answers({ classes, shares }: { classes: string[]; shares: number[] }) {
  const order = shares.map((_, k) => k)
  const best = order.reduce((one, k) => (shares[k]! > shares[one]! ? k : one), 0)
  const shown = shares.length <= MOST ? order : [...order].sort((a, b) => shares[b]! - shares[a]!).slice(0, 10)
  return (
    <>
      <ol class="answers">
        {shown.map((k) => (
          <li key={k} class={k === best ? "best" : undefined} data-class={k} data-probability={shares[k]}>
            <bdi>{classes[k] ?? k}</bdi>
            <span class="share" aria-hidden="true"><span style={{ width: `${100 * shares[k]!}%` }} /></span>
            <span class="number">{percent(shares[k]!)}</span>
          </li>
        ))}
      </ol>
      {shown.length < shares.length && <p class="note">The {shown.length} most probable of {shares.length} classes.</p>}
    </>
  )
}

export const percent = (share: number): string => (share > 0 && share < 0.0005 ? "< 0.1%" : `${(100 * share).toFixed(1)}%`)

/** The most probable class, in words. */
export function verdict(classes: string[], shares: number[]): string {
  const best = shares.reduce((one, share, k) => (share > shares[one]! ? k : one), 0)
  return `Most probable: ${classes[best] ?? best}, ${percent(shares[best]!)}.`
}
