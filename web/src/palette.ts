// Color maps of the record, and the ink that can be read on their colors; as in striate/views/drawing/theme.py.

const parts = (color: string): [number, number, number] => [
  parseInt(color.slice(1, 3), 16),
  parseInt(color.slice(3, 5), 16),
  parseInt(color.slice(5, 7), 16),
]

/** The color of a level from 0 to 255, between the neighbors that a palette lists. */
export function mapped(palette: string[], level: number): [number, number, number] {
  const place = (level * (palette.length - 1)) / 255
  const left = Math.min(Math.floor(place), palette.length - 2)
  const [a, b] = [parts(palette[left] ?? "#000000"), parts(palette[left + 1] ?? "#ffffff")]
  const mix = (k: 0 | 1 | 2) => Math.round(a[k] + (b[k] - a[k]) * (place - left))
  return [mix(0), mix(1), mix(2)]
}

/** Black or white, whichever has more contrast with a color (WCAG 2.2). */
export function inkOn(color: [number, number, number]): string {
  const [r, g, b] = color.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4))
  const luminance = 0.2126 * (r ?? 0) + 0.7152 * (g ?? 0) + 0.0722 * (b ?? 0)
  return (luminance + 0.05) / 0.05 >= 4.5 ? "#000000" : "#ffffff"
}

/** An image of levels, one pixel for each, as the address of its data; null is transparent. */
export function imageOf(levels: (number | null)[][], palette: string[]): string {
  const [high, wide] = [levels.length, levels[0]?.length ?? 0]
  const canvas = document.createElement("canvas")
  canvas.width = wide
  canvas.height = high
  const context = canvas.getContext("2d")
  if (!context || !wide) return ""
  const image = context.createImageData(wide, high)
  const colors = Array.from({ length: 256 }, (_, level) => mapped(palette, level))
  levels.forEach((row, y) =>
    row.forEach((level, x) => {
      if (level === null) return
      const [r, g, b] = colors[level] ?? [0, 0, 0]
      image.data.set([r, g, b, 255], 4 * (y * wide + x))
    }),
  )
  context.putImageData(image, 0, 0)
  return canvas.toDataURL()
}
