// The learned numbers behind a map: its filter through all channels that it reads, or the weights of a unit.
import { useMemo } from "preact/hooks"
import type { Values } from "../../engine"
import { digits } from "../../large"
import type { PageModel, PageNode } from "../../record"
import { Legend, Montage, scaleOf } from "./montage"

const MAX_SLICES = 64

interface Filter {
  values: Float32Array
  count: number
  high: number
  wide: number
  bias: number | undefined
}

/** Sizes of the maps that stand behind a flat value: a unit's weights are shown in their places. */
function mapsBehind(model: PageModel, node: PageNode): number[] | undefined {
  const before = model.nodes.find((one) => one.outputs.includes(node.inputs[0]!))
  const shape = before?.shapes[0]!.slice(1) ?? Object.values(model.inputs)[0]!.slice(1)
  if (!before || shape.length === 3) return shape.length === 3 ? shape : undefined
  const size = (sizes: number[]) => sizes.reduce((product, n) => product * n, 1)
  const behind = mapsBehind(model, before)
  return behind && size(behind) === size(shape) ? behind : undefined
}

function filterOf(model: PageModel, weights: Values, name: string, map: number): Filter | undefined {
  const node = model.nodes.find((one) => one.name === name)
  const full = node?.weights["weight"]
  const weight = full === undefined ? undefined : model.weights[full]
  // A filter for each channel of the output: other weights, of norms and transposed windows, are no filters.
  if (!node || !weight || weight.shape.length < 2 || weight.shape[0] !== node.shapes[0]![1] || map >= node.shapes[0]![1]!) return undefined
  const size = weight.shape.slice(1).reduce((product, n) => product * n, 1)
  const values = weights.get(full!)!.slice(map * size, (map + 1) * size)
  const bias = node.weights["bias"]
  const shift = bias === undefined ? undefined : weights.get(bias)![map]
  const behind = weight.shape.length === 2 ? mapsBehind(model, node) : undefined
  const [count, high, wide] =
    behind ??
    (weight.shape.length === 2
      ? [1, 1, size]
      : [weight.shape[1]!, weight.shape.length === 3 ? 1 : weight.shape[2]!, weight.shape[weight.shape.length - 1]!])
  return count! * high! * wide! === size ? { values, count: count!, high: high!, wide: wide!, bias: shift } : undefined
}

export function Filters(props: { model: PageModel; weights: Values; node: string; map: number; isFlat: boolean; palettes: Record<string, string[]> }) {
  const { model, weights, node, map, isFlat, palettes } = props
  const filter = useMemo(() => filterOf(model, weights, node, map), [model, weights, node, map])
  const scale = useMemo(() => filter && scaleOf(filter.values, palettes), [filter, palettes])
  if (!filter || !scale) return null
  const count = Math.min(filter.count, MAX_SLICES)
  return (
    <section class="filters">
      <h2>Weights of {isFlat ? "unit" : "channel"} {map}</h2>
      <p class="note">
        {filter.count} x {filter.high} x {filter.wide} numbers: one slice for each channel that it reads
        {filter.bias !== undefined && `, and the bias ${digits(filter.bias)}`}.
        {count < filter.count && ` The first ${count} are shown.`}
      </p>
      <Montage values={filter.values} count={count} high={filter.high} wide={filter.wide} scale={scale}
        label={`Weights of channel ${map} of ${node}, ${filter.count} slices of ${filter.high} by ${filter.wide}`} />
      <Legend scale={scale} label="Colors of the weights" />
    </section>
  )
}
