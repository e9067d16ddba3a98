// One statement: for all values of its variables, combine a value into the target. It knows no op.
import type { Instruction, PageStatement, Place, Table } from "../record"
import { FUNCTIONS, type ScalarFunction } from "./functions"
import { Access, type Loops, position } from "./places"

export type Tensor = Float32Array | Float64Array
export type Tensors = Map<string, Tensor>

/** Shapes of tensors by name, batch axis first. */
export type Shapes = Map<string, number[]>

type Run = (tensors: Tensors) => void
/** Cost of one turn of the loops, in elements of a lane. */
const TURN_COST = 60

/** What runs the statement; the target is made before the first that writes it. */
export function compileStatement(record: PageStatement, shapes: Shapes, tables: Table[]): Run {
  const { start = record.reduce === "max" ? [{ number: "-Infinity" }] : undefined } = record
  const before = start && new Statement({ ...record, value: start, reduce: "", reduced: {} }, shapes, tables)
  const main = new Statement(record, shapes, tables)
  const size = record.shape.reduce((product, n) => product * n, 1)
  return (tensors) => {
    if (!tensors.has(record.target)) tensors.set(record.target, new Float64Array(size))
    before?.run(tensors)
    main.run(tensors)
  }
}

/** Add products of two rows of numbers to a third; each row starts somewhere and goes on in steps. */
function multiply(
  sum: Tensor, to: number, stepTo: number, left: Tensor, at: number, stepA: number, right: Tensor, by: number,
  stepB: number, count: number,
): void {
  if (stepTo === 0) {
    let total = 0
    for (let k = 0; k < count; k++) {
      total += left[at]! * right[by]!
      at += stepA
      by += stepB
    }
    sum[to]! += total
  } else if (stepB === 0) {
    const factor = right[by]!
    for (let k = 0; k < count; k++) {
      sum[to]! += left[at]! * factor
      to += stepTo
      at += stepA
    }
  } else {
    for (let k = 0; k < count; k++) {
      sum[to]! += left[at]! * right[by]!
      to += stepTo
      at += stepA
      by += stepB
    }
  }
}

class Statement {
  private readonly loops: Loops
  private outer: number[]
  private readonly variable: number
  private readonly length: number
  private readonly target: Access
  private readonly step: Run

  constructor(
    private readonly record: PageStatement,
    shapes: Shapes,
    tables: Table[],
  ) {
    const ranges = { ...record.free, ...record.reduced }
    const names = Object.keys(ranges)
    this.loops = { names, sizes: Object.values(ranges), now: new Int32Array(names.length) }
    const reads = record.value.filter((one) => one.read !== undefined)
    const accesses = (variable: number) => [
      new Access(record.at, record.shape, this.loops, variable, tables),
      ...reads.map((one) => new Access(one.at!, shapes.get(one.read!)!, this.loops, variable, tables)),
    ]
    // The lane is the variable along which a turn does much, and reads and writes neighbors.
    let best = Infinity
    let lane = 0
    names.forEach((_, variable) => {
      const jumps = accesses(variable).map(({ lane: { table, step } }) => (table ? 16 : Math.min(Math.abs(step), 16)))
      const cost = TURN_COST / this.loops.sizes[variable]! + jumps.reduce((sum, jump) => sum + jump, 0) / 8
      if (cost < best) [best, lane] = [cost, variable]
    })
    this.variable = lane
    this.length = this.loops.sizes[lane]!
    this.outer = names.map((_, variable) => variable).filter((variable) => variable !== lane)
    const [target, ...sources] = accesses(lane)
    this.target = target!
    const [first, second, third] = record.value
    const isPlainProduct =
      record.reduce === "sum" && record.value.length === 3 && third!.call === "mul" &&
      [first!, second!].every((one) => one.read !== undefined && !one.outside)
    this.step = isPlainProduct
      ? this.product(first!.read!, sources[0]!, second!.read!, sources[1]!)
      : this.general(sources, tables)
  }

  run(tensors: Tensors): void {
    if (this.loops.sizes.includes(0)) return
    this.turn(0, tensors)
  }

  private turn(depth: number, tensors: Tensors): void {
    const variable = this.outer[depth]
    if (variable === undefined) {
      this.target.move()
      if (this.target.base >= 0) this.step(tensors)
      return
    }
    const size = this.loops.sizes[variable]!
    for (let k = 0; k < size; k++) {
      this.loops.now[variable] = k
      this.turn(depth + 1, tensors)
    }
    this.loops.now[variable] = 0
  }

  /** A sum of products of two tensors: nearly all work of a network. A second variable is looped over in place. */
  private product(nameA: string, a: Access, nameB: string, b: Access): Run {
    const { target, length } = this
    const name = this.record.target
    const second = this.outer
      .filter((variable) => [a, b, target].every((access) => access.isApart(variable)))
      .reduce((best, one) => (this.loops.sizes[one]! > (this.loops.sizes[best] ?? 0) ? one : best), -1)
    this.outer = this.outer.filter((variable) => variable !== second)
    const [moreA, moreB, moreTo] = [a, b, target].map((access) =>
      second < 0 ? new Int32Array(1) : access.takeApart(second),
    ) as [Int32Array, Int32Array, Int32Array]
    return (tensors) => {
      a.move()
      b.move()
      if (a.base < 0 || b.base < 0) return
      const sum = tensors.get(name)!
      const left = tensors.get(nameA)!
      const right = tensors.get(nameB)!
      const laneA = a.lane
      const laneB = b.lane
      const laneTo = target.lane
      if (laneA.table || laneB.table || laneTo.table) {
        for (let k = 0; k < length; k++) {
          const to = target.offset(k)
          const at = a.offset(k)
          const by = b.offset(k)
          if (to < 0 || at < 0 || by < 0) continue
          for (let m = 0; m < moreTo.length; m++) sum[to + moreTo[m]!]! += left[at + moreA[m]!]! * right[by + moreB[m]!]!
        }
        return
      }
      const first = Math.max(laneA.first, laneB.first, laneTo.first)
      const count = Math.min(laneA.last, laneB.last, laneTo.last) - first
      const at = a.base + laneA.start + laneA.step * (first - laneA.first)
      const by = b.base + laneB.start + laneB.step * (first - laneB.first)
      const to = target.base + laneTo.start + laneTo.step * (first - laneTo.first)
      for (let m = 0; m < moreTo.length; m++) {
        multiply(sum, to + moreTo[m]!, laneTo.step, left, at + moreA[m]!, laneA.step, right, by + moreB[m]!, laneB.step, count)
      }
    }
  }

  /** Any expression: each instruction fills a lane. */
  private general(sources: Access[], tables: Table[]): Run {
    const stack: Float64Array[] = []
    const fills: Run[] = []
    let source = 0
    for (const one of this.record.value) {
      const lane = new Float64Array(this.length)
      const taken = one.call === undefined ? [] : stack.splice(stack.length - one.takes!)
      fills.push(this.fill(one, lane, taken, one.read === undefined ? undefined : sources[source++], tables))
      stack.push(lane)
    }
    const [value] = stack as [Float64Array]
    const { target, length } = this
    const { target: name, reduce } = this.record
    return (tensors) => {
      for (const fill of fills) fill(tensors)
      const result = tensors.get(name)!
      for (let k = 0; k < length; k++) {
        const to = target.offset(k)
        if (to < 0) continue
        if (reduce === "sum") result[to]! += value[k]!
        else result[to] = reduce === "max" ? Math.max(result[to]!, value[k]!) : value[k]!
      }
    }
  }

  private fill(one: Instruction, lane: Float64Array, taken: Float64Array[], source: Access | undefined, tables: Table[]): Run {
    if (source) {
      const outside = Number(one.outside ?? 0)
      return (tensors) => {
        source.move()
        const tensor = tensors.get(one.read!)!
        for (let k = 0; k < lane.length; k++) {
          const from = source.offset(k)
          lane[k] = from < 0 ? outside : tensor[from]!
        }
      }
    }
    if (one.call !== undefined) {
      const f = FUNCTIONS[one.call] as ScalarFunction
      const [a, b = a!, c = a!] = taken as [Float64Array, Float64Array?, Float64Array?]
      return () => {
        for (let k = 0; k < lane.length; k++) lane[k] = f(a[k]!, b[k]!, c[k]!)
      }
    }
    if (one.table !== undefined) {
      const at = position(one as Place, this.loops, tables)
      return () => {
        for (let k = 0; k < lane.length; k++) {
          this.loops.now[this.variable] = k
          lane[k] = at.at()
        }
        this.loops.now[this.variable] = 0
      }
    }
    lane.fill(Number(one.number))
    return () => undefined
  }
}
