// Pixels of a drawing: strokes, simple figures, files, and their text in an address. Bytes, height x width x channels.
import { bytesOf } from "../../engine"
import type { Drawing } from "../../record"

export type Pixels = Uint8Array

/** Red, green and blue, 0 to 255; of a gray drawing the first counts. */
export type Ink = readonly [number, number, number]

/** Pixels up to which a drawing goes into the address. */
const MAX_IN_ADDRESS = 1024

export const ground = ({ dark }: Drawing): number => (dark ? 0 : 255)
export const usualInk = ({ dark }: Drawing): Ink => (dark ? [255, 255, 255] : [0, 0, 0])

export function blank(drawing: Drawing): Pixels {
  const [height, width, channels] = drawing.image as [number, number, number]
  return new Uint8Array(height * width * channels).fill(ground(drawing))
}

/** The pixels after a stroke from one place to another (in pixels, the middle of the first one is 0.5). */
export function stroke(pixels: Pixels, drawing: Drawing, from: number[], to: number[], ink: Ink, radius: number): Pixels {
  const [height, width, channels] = drawing.image as [number, number, number]
  const [y0, x0, y1, x1] = [from[0]!, from[1]!, to[0]!, to[1]!]
  const length = (y1 - y0) ** 2 + (x1 - x0) ** 2
  const result = pixels.slice()
  const reach = radius + 1
  const range = (a: number, b: number, size: number): [number, number] => [
    Math.max(0, Math.floor(Math.min(a, b) - reach)),
    Math.min(size, Math.ceil(Math.max(a, b) + reach)),
  ]
  const [top, bottom] = range(y0, y1, height)
  const [left, right] = range(x0, x1, width)
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const [py, px] = [y + 0.5, x + 0.5]
      const along = length ? Math.min(Math.max(((py - y0) * (y1 - y0) + (px - x0) * (x1 - x0)) / length, 0), 1) : 0
      const far = Math.hypot(py - y0 - along * (y1 - y0), px - x0 - along * (x1 - x0))
      const cover = Math.min(Math.max(radius + 0.5 - far, 0), 1)
      for (let c = 0; c < channels && cover > 0; c++) {
        const at = (y * width + x) * channels + c
        const mixed = Math.round(ground(drawing) + (ink[c]! - ground(drawing)) * cover)
        // A second stroke through the soft edge of a first one does not fade it.
        const isFurther = Math.abs(mixed - ink[c]!) <= Math.abs(result[at]! - ink[c]!)
        if (isFurther || cover === 1) result[at] = mixed
      }
    }
  }
  return result
}

export const radiusFor = ({ image }: Drawing): number => Math.max(0.6, Math.min(image[0]!, image[1]!) / 20)

/** Figures that need no data: name to strokes, [y, x] as shares of the height and the width. */
export const FIGURES: Record<string, number[][]> = {
  "upright bar": [[0.15, 0.5], [0.85, 0.5]],
  "flat bar": [[0.5, 0.15], [0.5, 0.85]],
  slope: [[0.85, 0.15], [0.15, 0.85]],
  ring: Array.from({ length: 25 }, (_, k) => [
    0.5 - 0.32 * Math.cos((k * Math.PI) / 12),
    0.5 + 0.26 * Math.sin((k * Math.PI) / 12),
  ]),
  corner: [[0.15, 0.25], [0.8, 0.25], [0.8, 0.8]],
}

export function figure(name: string, drawing: Drawing): Pixels {
  const [height, width] = drawing.image as [number, number]
  const points = (FIGURES[name] ?? []).map(([y, x]) => [y! * height, x! * width])
  return points.slice(1).reduce(
    (pixels, point, k) => stroke(pixels, drawing, points[k]!, point, usualInk(drawing), radiusFor(drawing)),
    blank(drawing),
  )
}

/** An image file in the network's size: it covers the square and is cut at its middle. The browser resizes it. */
export async function fromFile(file: Blob, drawing: Drawing): Promise<Pixels> {
  const [height, width, channels] = drawing.image as [number, number, number]
  const picture = await createImageBitmap(file)
  const scale = Math.max(height / picture.height, width / picture.width)
  let [high, wide] = [picture.height, picture.width]
  let source: CanvasImageSource = picture
  const drawn = (toWide: number, toHigh: number): CanvasRenderingContext2D => {
    const canvas = document.createElement("canvas")
    ;[canvas.width, canvas.height] = [toWide, toHigh]
    const context = canvas.getContext("2d")!
    context.imageSmoothingQuality = "high"
    return context
  }
  // In halves, so that no pixel of the file is skipped.
  while (high * scale < high / 2 && Math.min(high, wide) > 2 * Math.max(height, width)) {
    const context = drawn(Math.ceil(wide / 2), Math.ceil(high / 2))
    context.drawImage(source, 0, 0, context.canvas.width, context.canvas.height)
    source = context.canvas
    ;[high, wide] = [context.canvas.height, context.canvas.width]
  }
  const context = drawn(width, height)
  context.fillStyle = "#ffffff" // behind transparent pixels, as Python does
  context.fillRect(0, 0, width, height)
  const fit = Math.max(height / high, width / wide)
  context.drawImage(source, (width - wide * fit) / 2, (height - high * fit) / 2, wide * fit, high * fit)
  picture.close()
  const { data } = context.getImageData(0, 0, width, height)
  return Uint8Array.from({ length: height * width * channels }, (_, at) => {
    const [k, c] = [Math.floor(at / channels) * 4, at % channels]
    if (channels === 3) return data[k + c]!
    // Gray as Pillow computes it.
    return (data[k]! * 19595 + data[k + 1]! * 38470 + data[k + 2]! * 7471 + 0x8000) >> 16
  })
}

export function textOf(pixels: Pixels): string {
  return btoa(Array.from(pixels, (byte) => String.fromCharCode(byte)).join(""))
}

/** For an address: without characters that it escapes; empty for more pixels than an address should hold. */
export function addressOf(pixels: Pixels): string | undefined {
  if (pixels.length > MAX_IN_ADDRESS) return undefined
  return textOf(pixels).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "")
}

/** What an address names: a drawing, a sample by its number or a figure; without either, the first sample. */
export function fromAddress(drawing: Drawing, image: string | undefined, draw: string | undefined): Pixels {
  const size = blank(drawing).length
  if (draw) {
    try {
      const pixels = bytesOf(draw.replace(/-/g, "+").replace(/_/g, "/"))
      if (pixels.length === size) return pixels
    } catch {} // no base64
    return blank(drawing)
  }
  if (image === "none") return blank(drawing)
  if (image !== undefined && Object.hasOwn(FIGURES, image)) return figure(image, drawing)
  const sample = drawing.samples[Number(image ?? 0)]
  return sample ? bytesOf(sample.pixels) : figure("ring", drawing)
}

/** Pixels as the colors of a canvas. */
export function colorsOf(pixels: Pixels, drawing: Drawing): ImageData {
  const [height, width, channels] = drawing.image as [number, number, number]
  const image = new ImageData(width, height)
  for (let k = 0; k < height * width; k++) {
    for (let c = 0; c < 3; c++) image.data[4 * k + c] = pixels[k * channels + (channels === 3 ? c : 0)]!
    image.data[4 * k + 3] = 255
  }
  return image
}
