// Moving over a grid.

/** Arrow keys to their steps: rows down, columns to the right. */
export const ARROWS: Record<string, [number, number]> = {
  ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
}

/** The index nearest to a value, of `size` indices from 0. */
export const clamp = (value: number, size: number): number => Math.min(Math.max(value, 0), size - 1)

/** The cell under a pointer, of a grid that fills the element of the event: row and column. */
export function cellUnder(event: MouseEvent, rows: number, columns: number): [number, number] {
  const box = (event.currentTarget as Element).getBoundingClientRect()
  const index = (offset: number, size: number, count: number) => clamp(Math.floor((offset / size) * count), count)
  return [index(event.clientY - box.top, box.height, rows), index(event.clientX - box.left, box.width, columns)]
}
