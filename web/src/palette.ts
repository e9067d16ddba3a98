// Color maps of the record, and the ink that can be read on their colors; as in striate/views/drawing/theme.py.

/** Red, green and blue, each from 0 to 255. */
export type Rgb = [number, number, number]

/** The parts of "#rrggbb". */
export const rgb = (color: string): Rgb => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)) as Rgb

/** "#rrggbb" of its parts. */
export const hex = (color: readonly number[]): string => `#${color.map((part) => part.toString(16).padStart(2, "0")).join("")}`

/** The color of a level from 0 to 255, between the neighbors that a palette lists. */
export function mapped(palette: string[], level: number): Rgb {
  const place = (level * (palette.length - 1)) / 255
  const left = Math.min(Math.floor(place), palette.length - 2)
  const [a, b] = [rgb(palette[left] ?? "#000000"), rgb(palette[left + 1] ?? "#ffffff")]
  const mix = (k: 0 | 1 | 2) => Math.round(a[k] + (b[k] - a[k]) * (place - left))
  return [mix(0), mix(1), mix(2)]
}

const known = new Map<string, Rgb[]>()

/** The colors of all levels of a palette. */
export function levelColors(palette: string[]): Rgb[] {
  const key = palette.join()
  const colors = known.get(key) ?? Array.from({ length: 256 }, (_, level) => mapped(palette, level))
  known.set(key, colors)
  return colors
}

/** Black or white, whichever has more contrast with a color (WCAG 2.2). */
export function inkOn(color: Rgb): string {
  const [r, g, b] = color.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4))
  const luminance = 0.2126 * (r ?? 0) + 0.7152 * (g ?? 0) + 0.0722 * (b ?? 0)
  return (luminance + 0.05) / 0.05 >= 4.5 ? "#000000" : "#ffffff"
}

/** An image of one pixel for each cell, as the address of its data. pixel: red, green, blue, opacity; none is transparent. */
export function dataOf(rows: number, columns: number, pixel: (i: number, j: number) => number[] | undefined): string {
  const canvas = document.createElement("canvas")
  canvas.width = columns
  canvas.height = rows
  const context = canvas.getContext("2d")
  if (!context || !columns) return ""
  const image = context.createImageData(columns, rows)
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      const color = pixel(i, j)
      if (color) image.data.set(color, 4 * (i * columns + j))
    }
  context.putImageData(image, 0, 0)
  return canvas.toDataURL()
}

/** An image of levels, one pixel for each, as the address of its data; null is transparent. */
export function imageOf(levels: (number | null)[][], palette: string[]): string {
  const colors = levelColors(palette)
  return dataOf(levels.length, levels[0]?.length ?? 0, (y, x) => {
    const level = levels[y]?.[x] ?? null
    return level === null ? undefined : [...(colors[level] ?? [0, 0, 0]), 255]
  })
}
