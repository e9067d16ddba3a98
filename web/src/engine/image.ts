// From pixels to the network's input, in float32 step by step, as striate.transforms does it.
import type { PageModel } from "../record"

const LUMA = [0.299, 0.587, 0.114].map(Math.fround)

/** Round to the nearest whole number, halves to the even one, as numpy does. */
const rint = (x: number): number => {
  const below = Math.floor(x)
  return x - below === 0.5 ? below + (below % 2) : Math.round(x)
}

/** The input (channels, height, width) for pixels of height x width x channels bytes. */
export function inputOf(model: PageModel, pixels: Uint8Array | Uint8ClampedArray): Float32Array {
  const [height, width, channels] = model.image as [number, number, number]
  const area = height * width
  const plane = (_: unknown, c: number) => Float32Array.from({ length: area }, (_, k) => pixels[k * channels + c]!)
  return inputFrom(model, Array.from({ length: channels }, plane), true)
}

/** The input for planes of pixels. bytes: whether they are whole numbers from 0 to 255; otherwise from 0 to 1. */
export function inputFrom(model: PageModel, planes: Float32Array[], bytes: boolean): Float32Array {
  const toUnit = () => {
    if (bytes) planes = planes.map((plane) => plane.map((value) => value / 255))
    bytes = false
  }
  for (const step of model.steps) {
    if (step.step === "normalize") {
      toUnit()
      const [mean, std] = [Float32Array.from(step.mean!), Float32Array.from(step.std!)]
      planes = planes.map((plane, c) => plane.map((value) => Math.fround(value - mean[c]!) / std[c]!))
    } else if (planes.length === 1) {
      planes = Array.from({ length: step.count! }, () => planes[0]!)
    } else if (planes.length !== step.count) {
      const [red, green, blue] = planes as [Float32Array, Float32Array, Float32Array]
      const luma = red.map((value, k) => {
        const sum = Math.fround(Math.fround(value * LUMA[0]!) + Math.fround(green[k]! * LUMA[1]!))
        return sum + Math.fround(blue[k]! * LUMA[2]!)
      })
      planes = [bytes ? luma.map(rint) : luma]
    }
  }
  toUnit()
  const area = planes[0]!.length
  const input = new Float32Array(planes.length * area)
  planes.forEach((plane, c) => input.set(plane, c * area))
  return input
}
