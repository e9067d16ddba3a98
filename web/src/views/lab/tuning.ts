// Measures of responses to gratings, as striate/probe/tuning.py: those that the page computes by itself.

/** Of one unit; null where a measure is undefined. Angles in degrees, of bars. */
export interface Tuned {
  orientation: number | null
  cv: number | null
  osi: number | null
  f1_f0: number | null
  frequency: number | null
  /** simple, complex, none; empty where the page cannot tell */
  type: string
  /** drive for each orientation, and response for each phase of the best grating */
  curve: number[]
  phases: number[]
  blank: number
  /** what has to be known about the conditions */
  notes: string[]
}

const TIE = 1e-4
const MIN_SELECTIVITY = 0.01
const SILENT_SHARE = 1e-5

/** Mean and amplitude of the first harmonic over the phases. */
function harmonics(responses: number[]): [number, number] {
  let [mean, real, imaginary] = [0, 0, 0]
  responses.forEach((response, k) => {
    const angle = (2 * Math.PI * k) / responses.length
    mean += response
    real += response * Math.cos(angle)
    imaginary += response * Math.sin(angle)
  })
  return [mean / responses.length, (2 / responses.length) * Math.hypot(real, imaginary)]
}

/** The last of `most`, which ties with the largest, comes first. */
const firstOf = (values: number[], most: number) => values.findIndex((value) => value >= most * (1 - TIE))

/** responses: raw, by orientation, frequency and phase; frequencies in cycles per pixel. */
export function tune(raw: number[][][], blank: number, frequencies: number[]): Tuned {
  const responses = raw.map((row) => row.map((cycle) => cycle.map((value) => Math.max(value, 0))))
  const all = responses.map((row) => row.map(harmonics))
  const rest = Math.max(blank, 0)
  const drives = all.map((row) => row.map(([f0, f1]) => Math.max(f0 - rest, f1, 0)))
  const strongest = Math.max(...drives.flat())
  const largest = Math.max(...raw.flat(2).map(Math.abs), Math.abs(blank))
  const nothing = { orientation: null, cv: null, osi: null, f1_f0: null, frequency: null, curve: [], phases: [], blank, notes: [] }
  if (!(strongest > SILENT_SHARE * largest)) return { ...nothing, type: "none" }
  const rate = firstOf(frequencies.map((_, f) => Math.max(...drives.map((row) => row[f]!))), strongest)
  const curve = drives.map((row) => row[rate]!)
  const turn = firstOf(curve, Math.max(...curve))
  let [real, imaginary, sum] = [0, 0, 0]
  curve.forEach((drive, k) => {
    const angle = (2 * Math.PI * k) / curve.length
    real += drive * Math.cos(angle)
    imaginary += drive * Math.sin(angle)
    sum += drive
  })
  const selectivity = Math.hypot(real, imaginary) / sum
  const orthogonal = curve[(turn + Math.floor(curve.length / 2)) % curve.length]!
  const [f0, f1] = all[turn]![rate]!
  const half = (Math.atan2(imaginary, real) * 90) / Math.PI
  return {
    orientation: selectivity < MIN_SELECTIVITY ? null : ((half % 180) + 180) % 180,
    cv: 1 - selectivity,
    osi: (curve[turn]! - orthogonal) / (curve[turn]! + orthogonal),
    f1_f0: f0 > TIE * f1 ? f1 / f0 : null,
    frequency: frequencies[rate]!,
    type: f1 > f0 ? "simple" : "",
    curve,
    phases: responses[turn]![rate]!,
    blank,
    notes: [],
  }
}
