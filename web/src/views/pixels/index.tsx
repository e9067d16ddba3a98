// Pixel use: in how many ways each pixel of an input reaches the output, with padding modes next to each other.
import { useMemo } from "preact/hooks"
import { Cells } from "../../cells"
import { channelsLast, digits, grouped, large, plural } from "../../large"
import { imageOf, inkOn, mapped } from "../../palette"
import { InputChoice, SliceChoice } from "../../parts/choice"
import type { PixelCounts } from "../../record"
import type { View, ViewProps } from "../../view"
import { AXIS_WORDS } from "../network/fields"
import { CountMap, greatest } from "./counts"

const OWN = "as it is"
const TICKS = 4

function Pixels({ record, parameters, set }: ViewProps) {
  const pixels = record.network?.pixels
  const palette = record.palettes["counts"] ?? []
  const names = Object.keys(pixels?.inputs ?? {})
  const input = names.find((name) => name === parameters["input"]) ?? names[0] ?? ""
  const maps = pixels?.inputs[input] ?? []
  const chosen = maps.find((one) => one.mode === parameters["mode"]) ?? maps[0]
  const counts = useMemo(() => (chosen && !chosen.problem ? new CountMap(chosen) : null), [chosen])
  const shape = chosen?.shape ?? []
  const outer = shape.length > 2 ? [indexFrom(parameters["slice"], shape[0] ?? 1) ?? (shape[0] ?? 1) >> 1] : []
  const levels = useMemo(() => counts?.levels(outer, chosen?.most ?? "0") ?? [], [counts, outer[0]])
  if (!pixels || !chosen) return null
  return (
    <>
      <p>
        A path leads from a pixel through one tap of every window to an output. The map counts the paths from each pixel to{" "}
        <bdi>{pixels.to}</bdi>; for a single layer, they are the windows that read it.
        {record.show.problems.length > 0 && " The network has no output, so paths are counted to the last layer that has one."}
      </p>
      <InputChoice names={names} input={input} choose={(name) => set({ input: name, at: undefined })} />
      <div class="pixel-map">
        {counts ? (
          <>
            <Map {...{ counts, levels, palette, outer, parameters, set, input }} record={chosen} />
            <Facts record={chosen} />
          </>
        ) : (
          <p class="missing">
            <bdi>{chosen.problem}</bdi>
          </p>
        )}
      </div>
      <Modes maps={maps} chosen={chosen} palette={palette} choose={(mode) => set({ mode: mode || undefined, at: undefined })} />
    </>
  )
}

const indexFrom = (text: string | undefined, size: number): number | null => {
  const value = Number(text)
  return text !== undefined && Number.isInteger(value) && value >= 0 ? Math.min(value, size - 1) : null
}

interface MapProps extends Pick<ViewProps, "parameters" | "set"> {
  record: PixelCounts
  counts: CountMap
  levels: (number | null)[][]
  palette: string[]
  outer: number[]
  input: string
}

function Map({ record, counts, levels, palette, outer, parameters, set, input }: MapProps) {
  const shape = record.shape ?? []
  const axes = record.axes ?? []
  const image = useMemo(() => imageOf(levels, palette), [levels, palette])
  const [rows, columns] = [levels.length, levels[0]?.length ?? 0]
  const texts = useMemo(() => cellTexts(counts, rows, columns, outer), [counts, rows, columns, outer[0]])
  const places = parameters["at"]?.split(",") ?? []
  const given = shape.length === 1 ? ["0", ...places] : places.slice(-2)
  const [y, x] = [indexFrom(given[0], rows), indexFrom(given[1], columns)]
  const at: [number, number] | null = counts.exact && y !== null && x !== null ? [y, x] : null
  const position = ([row, column]: [number, number]) => (shape.length === 1 ? [column] : [...outer, row, column])
  const names = (shape.length > 1 ? axes.slice(-2) : ["h", ...axes]).map((axis) => AXIS_WORDS[axis] ?? axis)
  const describe = (to: [number, number]) => {
    const n = counts.at(position(to))
    const center = BigInt(record.center ?? "0")
    const where = axes.map((axis, k) => `${AXIS_WORDS[axis] ?? axis} ${position(to)[k]}`).join(", ")
    const share = center ? `, ${Number((n * 1000n) / center) / 1000} of the center` : ""
    return `${where}: ${n === 0n ? "never read" : plural(n, "path") + share}.`
  }
  const long = shape.length === 1
  const plain = (side: number) => (
    <>
      <defs>
        <pattern id="unread" width="0.5" height="0.5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect class="hatch-paper" width="0.5" height="0.5" />
          <rect class="hatch" width="0.14" height="0.5" />
        </pattern>
      </defs>
      <rect width={columns} height={rows} fill="url(#unread)" />
      <image href={image} width={columns} height={rows} preserveAspectRatio="none" style="image-rendering:pixelated" />
      {texts.length > 0 && side >= Math.max(...texts.flat().map((text) => text.length * 7.4 + 4), 16) && (
        <g class="counts" font-size={12 / side} text-anchor="middle">
          {texts.flatMap((row, r) =>
            row.map((text, c) => {
              const level = levels[r]?.[c] ?? null
              if (level === null) return null
              return (
                <text key={`${r},${c}`} x={c + 0.5} y={r + 0.5 + 4.3 / side} fill={inkOn(mapped(palette, level))}>
                  {text}
                </text>
              )
            }),
          )}
        </g>
      )}
    </>
  )
  return (
    <figure>
      <figcaption>
        <strong>
          <bdi>{input}</bdi>
        </strong>
        , {shape.join(" x ")} pixels, {record.mode ? `${record.mode} padding in every convolution` : "padding as it is"}
      </figcaption>
      {shape.length > 2 && (
        <SliceChoice count={shape[0] ?? 1} at={outer[0]} disabled={!counts.exact} choose={(slice) => set({ slice })} />
      )}
      <Cells
        picture
        bare
        still={!counts.exact}
        label={`Pixel use of ${input}, ${shape.join(" by ")} pixels`}
        help="Click or tap a pixel, or move with the arrow keys, to read its count."
        rows={rows}
        columns={columns}
        at={at}
        names={[names[0] ?? "row", names[1] ?? "column"]}
        room={[640, 560]}
        most={46}
        onMove={(to) => set({ at: (long ? [to[1]] : to).join(",") }, true)}
        describe={describe}
      >
        {plain}
      </Cells>
      {at && (
        <p data-count={counts.at(position(at)).toString()}>
          <span class="key at" aria-hidden="true" /> {describe(at)}
        </p>
      )}
      {!counts.exact && (
        <p class="small">
          A cell is the mean of a block of pixels. The counts of single pixels are left out of this page because they would
          make it much larger: <code>striate pixels MODEL --compare --json</code> writes them.
        </p>
      )}
      <Legend most={record.most ?? "0"} palette={palette} unread={record.unread !== "0"} />
    </figure>
  )
}

/** The counts as they are written into cells; none of a large map. */
function cellTexts(counts: CountMap, rows: number, columns: number, outer: number[]): string[][] {
  if (!counts.exact || rows * columns > 1200) return []
  return Array.from({ length: rows }, (_, y) =>
    Array.from({ length: columns }, (_, x) => {
      const n = counts.at(counts.shape.length === 1 ? [x] : [...outer, y, x])
      return n < 1_000_000n ? n.toString() : large(n)
    }),
  )
}

function Legend({ most, palette, unread }: { most: string; palette: string[]; unread: boolean }) {
  const top = BigInt(most)
  const ticks = top >= BigInt(TICKS) ? [0, 1, 2, 3, 4] : [0, 4]
  return (
    <div class="legend">
      <div class="legend-scale">
        <div class="legend-bar" style={{ background: `linear-gradient(to right, ${palette.join(", ")})` }} />
        <div class="legend-ticks">
          {ticks.map((k) => (
            <span key={k}>{large((top * BigInt(k)) / BigInt(TICKS))}</span>
          ))}
        </div>
      </div>
      <span class="small">paths</span>
      {unread && (
        <span class="bad">
          <span class="swatch" aria-hidden="true" /> never read
        </span>
      )}
    </div>
  )
}

const ratio = (share: number | null | undefined): string => (share === null || share === undefined ? "none" : digits(share, 3))

function Facts({ record }: { record: PixelCounts }) {
  const unread = record.unread ?? "0"
  return (
    <dl class="facts" data-unread={unread} data-most={record.most}>
      <div>
        <dt>never read</dt>
        <dd class={unread === "0" ? "good" : "bad"}>
          {unread === "0"
            ? "✓ none: every pixel is used"
            : `✕ ${grouped(unread)} of ${grouped(record.pixels ?? "")} pixels, hatched`}
        </dd>
      </div>
      {record.uniform && (
        <div>
          <dt>equal</dt>
          <dd class="good">✓ every pixel is used equally often</dd>
        </div>
      )}
      <div>
        <dt>corner to center</dt>
        <dd data-corner={record.corner_to_center}>
          {ratio(record.corner_to_center)}{" "}
          <span class="small">
            {large(BigInt(record.corner ?? "0"))} of {large(BigInt(record.center ?? "0"))}
          </span>
        </dd>
      </div>
      <div>
        <dt>border to center, on average</dt>
        <dd data-border={record.border_to_center}>{ratio(record.border_to_center)}</dd>
      </div>
      <div>
        <dt>most used pixel</dt>
        <dd>{plural(BigInt(record.most ?? "0"), "path")}</dd>
      </div>
      <div>
        <dt>output</dt>
        <dd>{channelsLast(record.output ?? []).join(" x ")}</dd>
      </div>
    </dl>
  )
}

interface ModesProps {
  maps: PixelCounts[]
  chosen: PixelCounts
  palette: string[]
  choose(mode: string): void
}

function Modes({ maps, chosen, palette, choose }: ModesProps) {
  const most = greatest(maps.map((one) => one.most ?? "0"))
  return (
    <section aria-label="Padding modes">
      <h2>Padding modes next to each other</h2>
      <p class="small">Each mode is applied to every convolution. All maps share one color scale: equal colors are equal counts. Choose a map to see it above.</p>
      <ul class="modes">
        {maps.map((one) => (
          <li key={one.mode}>
            <button type="button" aria-pressed={one === chosen} onClick={() => choose(one.mode)} data-mode={one.mode}>
              <strong>{one.mode || OWN}</strong>
              <ModeMap record={one} most={most} palette={palette} />
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}

function ModeMap({ record, most, palette }: { record: PixelCounts; most: string; palette: string[] }) {
  const image = useMemo(() => {
    if (record.problem) return ""
    const map = new CountMap(record)
    return imageOf(map.levels(map.shape.slice(0, -2).map((n) => n >> 1), most), palette)
  }, [record, most, palette])
  if (record.problem)
    return (
      <span class="problem">
        <span class="bad">✕ no output</span> <bdi>{record.problem}</bdi>
      </span>
    )
  const unread = record.unread ?? "0"
  const [wide = 1, high = 1] = [...(record.shape ?? [])].reverse()
  return (
    <>
      <img class="small-map" src={image} alt="" style={{ width: `${8 * Math.min(1, wide / high)}rem` }} />
      <span>output {(record.output ?? []).slice(1).join(" x ") || record.output?.[0]}</span>
      <span class={unread === "0" ? "" : "bad"}>{unread === "0" ? "all pixels read" : `✕ ${grouped(unread)} never read`}</span>
      <span>corner / center {ratio(record.corner_to_center)}</span>
      <span>border / center {ratio(record.border_to_center)}</span>
      {record.uniform && <span class="good">✓ equal everywhere</span>}
    </>
  )
}

export const pixels: View = {
  name: "pixels",
  title: "Pixel use",
  missing: ({ network }) => {
    if (!network) return "This page does not hold the maps of pixel use: striate report writes a page with them."
    return network.pixels.missing
  },
  Component: Pixels,
}
