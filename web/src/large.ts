// Numbers and names as texts; whole numbers of any length as Python prints them (views/text/pixels.py: `large`).

const MAX_WRITTEN_DIGITS = 12

/** Digits in groups of three: 12,345. */
export const grouped = (digits: string): string => digits.replace(/\B(?=(\d{3})+$)/g, ",")

/** All digits below 10**12, then three significant digits, rounded, and the power of ten. */
export function large(n: bigint): string {
  const text = n.toString()
  if (text.length <= MAX_WRITTEN_DIGITS) return grouped(text)
  let power = text.length - 1
  let digits = Number((BigInt(text.slice(0, 4)) + 5n) / 10n)
  if (digits === 1000) [digits, power] = [100, power + 1]
  return `${Math.floor(digits / 100)}.${String(digits % 100).padStart(2, "0")}e${power}`
}

/** A count with its noun: "1 pixel", "2 pixels". */
export const plural = (n: number | bigint, noun: string): string =>
  `${large(BigInt(n))} ${noun}${BigInt(n) === 1n ? "" : noun.endsWith("x") ? "es" : "s"}`

/** A number in a few significant digits. */
export const digits = (value: number, count = 4): string => String(Number(value.toPrecision(count)))

/** A share of 1: "12.5%"; what rounds to nothing is not printed as nothing. */
export const percent = (share: number): string => (share > 0 && share < 0.0005 ? "< 0.1%" : `${(100 * share).toFixed(1)}%`)

/** A name of at most `most` characters. */
export const shorten = (name: string, most: number): string => (name.length > most ? `${name.slice(0, most - 1)}…` : name)

/** The sizes of a shape (C, H, W) as papers write them: height, width, channels. */
export const channelsLast = (shape: number[]): number[] => [...shape.slice(1), ...shape.slice(0, 1)]
