// Values of the network for an image: by the page's engine, or by Python where a server answers.
import { useEffect, useMemo, useState } from "preact/hooks"
import { type Values, bytesOf, compile, floatsOf, inputOf, mix, probabilities, weightsOf } from "../../engine"
import type { Host } from "../../host"
import type { EightBitMaps, LivePage } from "../../record"
import { type Pixels, textOf } from "./pixels"

/** The output of a node, without the batch axis. */
export interface Output {
  shape: number[]
  values: Float32Array
  /** Of numbers in 8 bits: how many channels the node has, of which the first ones are there. */
  channels?: number
}

export interface Computed {
  /** Empty if the network does not classify. */
  shares: number[]
  /** Output of a node; undefined until it is computed. */
  output(node: string): Output | undefined
}

/** What Python has stored of one image. */
function storedValues({ shares, maps }: EightBitMaps): Computed {
  return {
    shares,
    output(name) {
      const one = maps[name]
      if (!one) return undefined
      const step = (one.high - one.low) / 255
      return { shape: one.shape, channels: one.channels, values: Float32Array.from(bytesOf(one.data), (level) => one.low + step * level) }
    },
  }
}

/** The weights that the page computes with: percent of the way from those before training to the trained ones. */
export function useWeights({ model }: LivePage, percent: number): Values | undefined {
  const ends = useMemo(() => model && [weightsOf(model.before ?? {}), weightsOf(model.weights)] as const, [model])
  return useMemo(() => ends && mix(...ends, percent / 100), [ends, percent])
}

/** What the page computes, has stored, or asks for; and the problem, in words, if there is one. */
export function useComputed(
  record: LivePage, host: Host, pixels: Pixels, node: string, percent: number, weights: Values | undefined,
): [Computed | undefined, string] {
  const { model, drawing } = record
  const run = useMemo(() => (model ? compile(model) : undefined), [model])
  const here = useMemo((): Computed | undefined => {
    if (!run || !model) return undefined
    const values = run(new Map(Object.keys(model.inputs).map((name) => [name, inputOf(model, pixels)])), weights)
    return {
      shares: probabilities(model, values),
      output(name) {
        const found = model.nodes.find((one) => one.name === name)
        const array = found && values.get(found.outputs[0]!)
        return array && { shape: found.shapes[0]!.slice(1), values: array }
      },
    }
  }, [run, model, pixels, weights])

  const [asked, setAsked] = useState<Computed>()
  const [problem, setProblem] = useState("")
  useEffect(() => {
    if (model || !host.request || !host.source || !drawing) return undefined
    const controller = new AbortController()
    const [height, width, channels] = drawing.image as [number, number, number]
    const body = { ...host.source(), image: { pixels: textOf(pixels), height, width, channels }, nodes: [node], percent }
    const timer = setTimeout(() => {
      host.request!("activations", body, { signal: controller.signal }).then(
        (answer) => {
          setProblem("")
          setAsked({
            shares: answer.probabilities ?? [],
            output(name) {
              const array = answer.values[name]
              return array && { shape: array.shape, values: floatsOf(array.values) }
            },
          })
        },
        (error: Error) => {
          if (error.name !== "AbortError") setProblem(error.message)
        },
      )
    }, 60)
    return () => {
      clearTimeout(timer)
      controller.abort()
    }
  }, [model, host, drawing, pixels, node, percent])
  const kept = useMemo(() => record.eight_bit && storedValues(record.eight_bit), [record.eight_bit])
  return [here ?? asked ?? kept, problem]
}
