// A map of pixel use: exact counts of single pixels, and levels of color of a plane.
import type { PixelCounts } from "../../record"

/** A sum of outer products; each number is a text of digits. */
export class CountMap {
  readonly shape: number[]
  private readonly vectors: string[][]

  constructor(private readonly record: PixelCounts) {
    this.shape = record.shape ?? []
    this.vectors = (record.vectors ?? []).map((text) => text.split(" "))
  }

  /** Whether single pixels can be asked for. */
  get exact(): boolean {
    return this.vectors.length > 0
  }

  /** Paths from one pixel. */
  at(position: number[]): bigint {
    let sum = 0n
    for (const term of this.record.terms ?? []) {
      let product = 1n
      term.forEach((vector, axis) => (product *= BigInt(this.vectors[vector]?.[position[axis] ?? 0] ?? "0")))
      sum += product
    }
    return sum
  }

  /** The last two axes as levels from 0 to 255 of `most`; null: never read. outer: index along the axes before. */
  levels(outer: number[], most: string): (number | null)[][] {
    if (!this.exact) return rescale(this.record.levels ?? [], this.record.most ?? "0", most)
    const axes = this.shape.length
    const [rows, columns] = [axes > 1 ? (this.shape[axes - 2] ?? 1) : 1, this.shape[axes - 1] ?? 1]
    const numbers = this.vectors.map(mantissas)
    const plane = Array.from({ length: rows }, () => new Float64Array(columns))
    for (const term of this.record.terms ?? []) {
      const parts = term.map((vector) => numbers[vector] ?? ([[], 0] as [number[], number]))
      // Counts may have thousands of digits: numbers are kept as shares of `most`.
      let [factor, power] = [1, -most.length]
      parts.forEach(([shares, digits], axis) => {
        power += digits
        if (axis < axes - 2) factor *= shares[outer[axis] ?? 0] ?? 0
      })
      const scale = factor * 10 ** power
      const down = axes > 1 ? (parts[axes - 2]?.[0] ?? []) : [1]
      const along = parts[axes - 1]?.[0] ?? []
      plane.forEach((row, y) => {
        const weight = scale * (down[y] ?? 0)
        if (weight) for (let x = 0; x < columns; x++) row[x] = (row[x] ?? 0) + weight * (along[x] ?? 0)
      })
    }
    const top = Number(`0.${most}`) || 1
    return plane.map((row) => Array.from(row, (n) => (n ? Math.min(Math.round((n / top) * 255), 255) : null)))
  }
}

/** Numbers of a vector over 10 to the power of its longest number of digits, and that power. */
function mantissas(vector: string[]): [number[], number] {
  const digits = Math.max(...vector.map((text) => text.length))
  return [vector.map((text) => Number(`0.${text}`) * 10 ** (text.length - digits)), digits]
}

function rescale(levels: (number | null)[][], own: string, most: string): (number | null)[][] {
  const share = (Number(`0.${own}`) / (Number(`0.${most}`) || 1)) * 10 ** (own.length - most.length)
  return levels.map((row) => row.map((level) => (level === null ? null : Math.min(Math.round(level * share), 255))))
}

/** The greatest of numbers written as digits. */
export const greatest = (numbers: string[]): string =>
  numbers.reduce((one, other) => (other.length > one.length || (other.length === one.length && other > one) ? other : one), "0")
