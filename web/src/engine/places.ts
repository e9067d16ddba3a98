// Where a statement reads and writes: offsets into flat tensors, along one variable (the lane) at a time.
import type { Place, Table } from "../record"

/** The loop variables of a statement: names, ranges, and their values now. */
export interface Loops {
  names: string[]
  sizes: number[]
  now: Int32Array
}

/** One position: the variables that it depends on, and its value for their values now; negative: outside. */
export interface Position {
  uses: number[]
  at(): number
}

export function position(place: Place, loops: Loops, tables: Table[]): Position {
  const { now } = loops
  const number = (name: string) => loops.names.indexOf(name)
  // A variable of one value is always 0: nothing depends on it.
  const moves = (variable: number) => loops.sizes[variable]! > 1
  if (place.table !== undefined) {
    const { columns, values } = tables[place.table]!
    const row = number(place.out!)
    if (place.tap === undefined) return { uses: [row].filter(moves), at: () => values[now[row]! * columns]! }
    const column = number(place.tap)
    return { uses: [row, column].filter(moves), at: () => values[now[row]! * columns + now[column]!]! }
  }
  const { offset = 0, divisor = 1, modulus = 0 } = place
  const terms = Object.entries(place.terms ?? {})
    .map(([name, factor]) => [number(name), factor] as const)
    .filter(([variable]) => moves(variable))
  const uses = terms.map(([variable]) => variable)
  const [first] = terms
  if (terms.length === 1 && first![1] === 1 && !offset && divisor === 1 && !modulus) {
    return { uses, at: () => now[first![0]]! }
  }
  return {
    uses,
    at() {
      let sum = offset
      for (const [variable, factor] of terms) sum += now[variable]! * factor
      const quotient = divisor === 1 ? sum : Math.floor(sum / divisor)
      return modulus ? quotient % modulus : quotient
    },
  }
}

/** Offsets along the lane: `start + step * (k - first)` for first <= k < last; or, in `table`, anything, -1 outside. */
export interface Lane {
  first: number
  last: number
  start: number
  step: number
  table: Int32Array | null
}

/** Offsets of one access to a tensor, split into a part that is the same along the lane and one along it. */
export class Access {
  /** Offset of the part that is the same along the lane; negative: all is outside. */
  base = 0
  lane: Lane
  private fixed: { stride: number; position: Position }[]
  private readonly along: { stride: number; position: Position }[]
  private readonly others: number[]
  private readonly lanes = new Map<number, Lane>()

  constructor(
    places: Place[],
    shape: number[],
    private readonly loops: Loops,
    private readonly variable: number,
    tables: Table[],
  ) {
    let stride = 1
    const axes = places
      .map((place) => position(place, loops, tables))
      .reverse()
      .map((one, at) => {
        const axis = { stride, position: one }
        stride *= shape[shape.length - 1 - at]!
        return axis
      })
    this.along = axes.filter((axis) => axis.position.uses.includes(variable))
    this.fixed = axes.filter((axis) => !axis.position.uses.includes(variable))
    this.others = [...new Set(this.along.flatMap((axis) => axis.position.uses))].filter((one) => one !== variable)
    this.lane = this.measure()
  }

  /** Whether what another variable adds to the base depends on it alone, and is never outside. */
  isApart(variable: number): boolean {
    if (this.others.includes(variable)) return false
    const axes = this.fixed.filter((axis) => axis.position.uses.includes(variable))
    return (
      axes.every((axis) => axis.position.uses.length === 1) && this.sums(axes, variable).every((offset) => offset >= 0)
    )
  }

  /** What each value of such a variable adds; `move` leaves it out from now on. */
  takeApart(variable: number): Int32Array {
    const isOf = (axis: { position: Position }) => axis.position.uses.includes(variable)
    const offsets = this.sums(this.fixed.filter(isOf), variable)
    this.fixed = this.fixed.filter((axis) => !isOf(axis))
    return offsets
  }

  /** Bring `base` and `lane` to the values of the variables now. */
  move(): void {
    this.base = 0
    for (const { stride, position } of this.fixed) {
      const at = position.at()
      if (at < 0) {
        this.base = -1
        return
      }
      this.base += stride * at
    }
    if (!this.others.length) return
    let key = 0
    for (const other of this.others) key = key * this.loops.sizes[other]! + this.loops.now[other]!
    let lane = this.lanes.get(key)
    if (!lane) {
      lane = this.measure()
      this.lanes.set(key, lane)
    }
    this.lane = lane
  }

  private measure(): Lane {
    const count = this.loops.sizes[this.variable] ?? 1
    if (!this.along.length) return { first: 0, last: count, start: 0, step: 0, table: null }
    const table = this.sums(this.along, this.variable)
    const first = table.findIndex((offset) => offset >= 0)
    if (first < 0) return { first: 0, last: 0, start: 0, step: 0, table: null }
    let last = first + 1
    const step = last < count && table[last]! >= 0 ? table[last]! - table[first]! : 0
    while (last < count && table[last]! >= 0 && table[last]! - table[last - 1]! === step) last++
    const even = table.subarray(last).every((offset) => offset < 0)
    return { first, last, start: table[first]!, step, table: even ? null : table }
  }

  /** Offset by some axes for each value of a variable; -1 where one of them is outside. */
  private sums(axes: { stride: number; position: Position }[], variable: number): Int32Array {
    const { now, sizes } = this.loops
    const before = now[variable]!
    const table = Int32Array.from({ length: sizes[variable]! }, (_, k) => {
      now[variable] = k
      let offset = 0
      for (const { stride, position } of axes) {
        const at = position.at()
        offset = at < 0 || offset < 0 ? -1 : offset + stride * at
      }
      return offset
    })
    now[variable] = before
    return table
  }

  /** Offset of entry k of the lane; negative: outside. */
  offset(k: number): number {
    const { first, last, start, step, table } = this.lane
    if (this.base < 0) return -1
    if (table) return table[k]! < 0 ? -1 : this.base + table[k]!
    return k < first || k >= last ? -1 : this.base + start + step * (k - first)
  }
}
