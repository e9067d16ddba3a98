// Every filter gives one channel of the output: small pictures of the first ones, to choose from.
import { useMemo } from "preact/hooks"
import { pixels } from "../../parts/cells"
import * as example from "./example"
import type { Layer } from "./model"
import { type Palettes, signedPaint } from "./paint"
import { notation, plural } from "./texts"

const SHOWN = 6
const MOST_PRODUCTS = 2e6

export function Filters({ layer, chosen, palettes, onChoose }: {
  layer: Layer
  chosen: number
  palettes: Palettes
  onChoose(filter: number): void
}) {
  const { filters, rows, columns } = layer
  const shown = Math.min(filters, SHOWN)
  const image = (plane: example.Plane | undefined) => {
    const most = example.mostOf(plane)
    return plane?.[0] ? <img alt="" src={pixels(plane.length, plane[0].length, (i, j) => signedPaint(palettes, plane[i]?.[j] ?? 0, most))} /> : null
  }
  const pictures = useMemo(
    () =>
      Array.from({ length: shown }, (_, k) => [
        image(Array.from({ length: rows.kernel }, (_, u) => Array.from({ length: columns.kernel }, (_, v) => example.weight(u, v, 0, k)))),
        image(example.plane(layer, k, undefined, MOST_PRODUCTS)),
      ]),
    [notation(layer)],
  )
  return (
    <fieldset class="bar">
      <legend>
        {plural(filters, "filter")}, {plural(filters, "output channel")}
      </legend>
      {pictures.map((both, k) => (
        <button type="button" key={k} aria-pressed={k === chosen} aria-label={`Filter ${k} and output channel ${k}`} onClick={() => onChoose(k)}>
          {both} {k}
        </button>
      ))}
      {filters > shown && (
        <label>
          and {filters - shown} more: show{" "}
          <input
            type="number"
            min={0}
            max={filters - 1}
            value={chosen}
            onChange={(event) => onChoose(Math.min(Math.max(Math.trunc(Number(event.currentTarget.value)) || 0, 0), filters - 1))}
          />
        </label>
      )}
    </fieldset>
  )
}
