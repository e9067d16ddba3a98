// The forward engine of the page: a network's statements, run one after the other on typed arrays.
import type { PageModel, PageWeight } from "../record"
import { type Shapes, type Tensor, type Tensors, compileStatement } from "./statement"

export { FUNCTIONS } from "./functions"
export { inputFrom, inputOf } from "./image"

/** Bytes from base64. */
export function bytesOf(text: string): Uint8Array {
  const raw = atob(text)
  return Uint8Array.from({ length: raw.length }, (_, k) => raw.charCodeAt(k))
}

/** float32 numbers, little-endian, from base64. */
export function floatsOf(text: string): Float32Array {
  const view = new DataView(bytesOf(text).buffer)
  return Float32Array.from({ length: view.byteLength / 4 }, (_, k) => view.getFloat32(4 * k, true))
}

/** Values by name, the batch axis left out: those of the inputs and of every node. */
export type Values = Map<string, Float32Array>

/** Learned arrays by full name. */
export const weightsOf = (records: Record<string, PageWeight>): Values =>
  new Map(Object.entries(records).map(([name, one]) => [name, floatsOf(one.data)]))

/** Weights on the straight line from some (those of `before` that differ) to others; share of the way, 0 to 1. */
export function mix(before: Values, after: Values, share: number): Values {
  const between = (from: Float32Array, to: Float32Array) => to.map((one, k) => (1 - share) * from[k]! + share * one)
  return new Map([...after].map(([name, to]) => [name, before.has(name) ? between(before.get(name)!, to) : to]))
}

/** What computes every value of a network from those of its inputs, with its weights or others. */
export function compile(model: PageModel): (inputs: Values, weights?: Values) => Values {
  const own = weightsOf(model.weights)
  const shapes: Shapes = new Map(Object.entries(model.inputs))
  const nodes = model.nodes.map((node) => {
    const parameters = Object.entries(node.weights)
    const local: Shapes = new Map([
      ...node.inputs.map((name, port) => [`x${port}`, shapes.get(name)!] as const),
      ...parameters.map(([name, full]) => [name, model.weights[full]!.shape] as const),
    ])
    for (const one of node.statements) local.set(one.target, one.shape)
    node.outputs.forEach((name, port) => shapes.set(name, node.shapes[port]!))
    const steps = node.statements.map((one) => compileStatement(one, local, model.tables))
    return { node, steps, parameters }
  })
  return (inputs, weights = own) => {
    const values: Values = new Map(inputs)
    for (const { node, steps, parameters } of nodes) {
      const tensors: Tensors = new Map(parameters.map(([name, full]): [string, Tensor] => [name, weights.get(full)!]))
      node.inputs.forEach((name, port) => tensors.set(`x${port}`, values.get(name)!))
      for (const step of steps) step(tensors)
      node.outputs.forEach((name, port) => values.set(name, Float32Array.from(tensors.get(`y${port}`)!)))
    }
    return values
  }
}

/** Probabilities of the classes from the values of a network; empty if it does not classify. */
export function probabilities(model: PageModel, values: Values): number[] {
  const tiny = 2 ** -126
  const log = (p: number) => Math.log(Math.max(p, tiny))
  const { undo, loss } = model.answer
  const outputs = [...values.get(model.outputs[0]!)!].map((z) =>
    undo === "" ? z : undo === "log" ? log(z) : log(z) - log(1 - z),
  )
  if (loss === "cross_entropy") {
    const largest = Math.max(...outputs)
    const powers = outputs.map((z) => Math.exp(z - largest))
    const sum = powers.reduce((total, power) => total + power, 0)
    return powers.map((power) => power / sum)
  }
  if (loss === "binary_cross_entropy") {
    const yes = outputs.map((z) => (Math.tanh(z / 2) + 1) / 2)
    return yes.length === 1 ? [1 - yes[0]!, yes[0]!] : yes
  }
  return loss === "mean_squared_error" ? outputs.map((z) => Math.min(Math.max(z, 0), 1)) : []
}
