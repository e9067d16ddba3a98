// The network: its picture, the details of each node, the field of a unit and the units that see a pixel.
import { useEffect, useMemo, useRef, useState } from "preact/hooks"
import { Picture, READABLE } from "../../picture"
import type { PicturePart } from "../../record"
import type { View, ViewProps } from "../../view"
import { Details } from "./details"
import { NodeList } from "./list"
import { boxesOf, outline, nextBox, type Boxes } from "./walk"

function Network({ record, host, parameters, set }: ViewProps) {
  const { show } = record
  const pictures = useMemo(
    () => host.pictures(record).filter((one) => one.kind === "blocks" || one.kind === "graph"),
    [record],
  )
  const kind = pictures.find((one) => one.kind === parameters["kind"])?.kind ?? pictures[0]?.kind ?? ""
  const picture = pictures.find((one) => one.kind === kind)
  const parts = record.network?.parts[kind] ?? []
  const opened = parameters["node"] ?? ""
  const holder = useMemo(() => partWith(parts, opened, show.nodes), [parts, opened])
  const [at, setAt] = useState("")
  const [said, say] = useState("")
  const [zoom, setZoom] = useState(READABLE)
  const boxes = useRef<Boxes | null>(null)
  const details = useRef<HTMLDivElement>(null)
  const stage = useRef<HTMLDivElement | null>(null)
  const current = at || holder?.key || opened

  const open = (name: string, focus = false) => {
    set({ node: name, unit: undefined, pixel: undefined })
    if (focus) requestAnimationFrame(() => details.current?.querySelector("h2")?.focus())
  }
  const announce = (key: string) => {
    const part = parts.find((one) => one.key === key)
    const last = part?.nodes.length ? show.nodes[part.nodes[part.nodes.length - 1] ?? 0] : undefined
    const size = last ? `, ${last.sizes.join(", ")}` : show.inputs[key] ? `, input ${show.inputs[key]?.join(" x ")}` : ""
    say(part ? `${part.names}: ${part.label}${part.times > 1 ? `, ${part.times} times` : ""}${size || ", no output"}` : key + size)
  }
  const go = (key: string) => {
    setAt(key)
    announce(key)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const now = boxes.current
    if (!now || event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key === "+" || event.key === "=") return setZoom(zoom * 1.25)
    if (event.key === "-") return setZoom(zoom / 1.25)
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault()
      if (current in now) open(current, true)
      return
    }
    const to = nextBox(now, parts, current, event.key)
    if (!to) return
    event.preventDefault()
    go(to)
  }
  useEffect(() => setAt(""), [opened, kind])
  useEffect(() => {
    const key = boxes.current && current in boxes.current ? current : ""
    if (boxes.current) outline(boxes.current, key, holder?.key ?? opened, stage.current)
  }, [current, opened, zoom, picture])

  return (
    <>
      <div class="bar">
        {pictures.length > 1 && (
          <div class="buttons" role="group" aria-label="Picture">
            {pictures.map((one) => (
              <button
                type="button"
                key={one.kind}
                aria-pressed={one.kind === kind}
                onClick={() => set({ kind: one.kind })}
              >
                {one.kind === "blocks" ? "Blocks" : "Graph"}
              </button>
            ))}
          </div>
        )}
      </div>
      {picture ? (
        <>
          <Picture
            svg={picture.svg}
            label={`${show.name}, drawn as ${kind}`}
            zoom={zoom}
            onZoom={setZoom}
            onReady={(svg) => {
              stage.current = svg.parentElement as HTMLDivElement
              boxes.current = boxesOf(svg)
            }}
            stage={{
              role: "application",
              "aria-roledescription": "picture of a network",
              "aria-describedby": "network-help",
              onKeyDown,
              onClick: (event) => {
                const key = (event.target as Element).closest("[data-node]")?.getAttribute("data-node")
                if (key) {
                  announce(key)
                  open(key)
                }
              },
            }}
          />
          <p class="small" id="network-help">
            Click or tap a layer. On the keyboard, the arrow keys follow the lines, Enter opens a layer, + and − zoom, Home
            and End go to the first and the last layer.
          </p>
        </>
      ) : (
        <p class="missing">This page holds no picture of this network; the list below has all nodes.</p>
      )}
      <p class="said" role="status" aria-live="polite">
        {said}
      </p>
      <div ref={details}>
        <Details
          record={record}
          host={host}
          parameters={parameters}
          set={set}
          part={holder}
          open={(name) => open(name, true)}
          back={() => stage.current?.focus()}
        />
      </div>
      <NodeList show={show} opened={opened} open={(name) => open(name, true)} />
    </>
  )
}

/** The part that a name stands for or stands in. */
function partWith(parts: PicturePart[], name: string, nodes: { name: string }[]): PicturePart | undefined {
  return (
    parts.find((part) => part.key === name) ?? parts.find((part) => part.nodes.some((k) => nodes[k]?.name === name))
  )
}

export const network: View = {
  name: "network",
  title: "Network",
  missing: ({ show }) => (show.nodes.length || show.problems.length ? "" : "The network has no layers: there is nothing to draw."),
  Component: Network,
}
