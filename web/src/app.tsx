// The frame of the page: one link for each view, and the view that the route names.
import { render } from "preact"
import { useEffect, useLayoutEffect, useState } from "preact/hooks"
import type { Host, Route } from "./host"
import { formatRoute } from "./host"
import type { LivePage } from "./record"
import { VIEWS } from "./views"

export interface Mounted {
  update(record: LivePage): void
  destroy(): void
  /** The picture of the view as the text of an SVG file; empty if the view has none. */
  toSVG(): string
}

/** Called after each change of route, with the view shown or "" for none. */
export type Shown = (view: string) => void

export function mountApp(element: Element, record: LivePage, host: Host, shown?: Shown): Mounted {
  const draw = (now: LivePage) => render(<App record={now} host={host} shown={shown} />, element)
  draw(record)
  return {
    update: draw,
    destroy: () => render(null, element),
    toSVG() {
      const find = (selector: string) => element.querySelector(`[data-view] ${selector}`)
      const svg = find("svg[data-picture]") ?? find("svg")
      return svg ? standing(svg) : ""
    },
  }
}

const LOOKS = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-weight", "font-family", "text-anchor"]

/** A picture as a file of its own, which has no style sheet: how its marks look is written into them. */
function standing(svg: Element): string {
  const copy = svg.cloneNode(true) as Element
  const marks = svg.querySelectorAll("*")
  copy.querySelectorAll("*").forEach((mark, k) => {
    const seen = marks[k] && getComputedStyle(marks[k])
    if (!seen || mark.closest("style, title, desc")) return
    for (const look of LOOKS) mark.setAttribute(look, seen.getPropertyValue(look))
    // Their width is one of the screen: outside of the page it would be one of cells.
    if (seen.getPropertyValue("vector-effect") === "non-scaling-stroke") mark.setAttribute("vector-effect", "non-scaling-stroke")
  })
  addCells(copy, svg.parentElement)
  const { width, height } = svg.getBoundingClientRect()
  copy.setAttribute("width", String(Math.round(width)))
  copy.setAttribute("height", String(Math.round(height)))
  return new XMLSerializer().serializeToString(copy)
}

/** The cells that lie under a picture: of canvases next to it, placed by their style. */
function addCells(copy: Element, around: Element | null) {
  for (const canvas of [...(around?.querySelectorAll<HTMLCanvasElement>(":scope > canvas[style]") ?? [])].reverse()) {
    const image = document.createElementNS(copy.namespaceURI, "image")
    const { left, top, width, height } = canvas.style
    for (const [name, value] of Object.entries({ x: left, y: top, width, height })) image.setAttribute(name, value.replace("px", ""))
    image.setAttribute("preserveAspectRatio", "none")
    image.setAttribute("style", "image-rendering: pixelated")
    image.setAttribute("href", canvas.toDataURL())
    copy.prepend(image)
  }
}

function App({ record, host, shown }: { record: LivePage; host: Host; shown: Shown | undefined }) {
  const route = useRoute(host)
  const view = VIEWS.find((one) => one.name === route.view)
  useEffect(() => shown?.(view?.name ?? ""), [view, shown])
  const set = (changes: Record<string, string | number | undefined>, replace = false) => {
    const parameters = { ...host.route().parameters }
    for (const [name, value] of Object.entries(changes)) {
      if (value === undefined) delete parameters[name]
      else parameters[name] = String(value)
    }
    host.go({ view: view?.name ?? "", parameters }, replace)
  }
  const links = [...(host.home ? [{ name: "", title: host.home }] : []), ...VIEWS]
  const missing = view?.missing?.(record, host) ?? ""
  return (
    <div class="striate">
      <nav class="views" aria-label="Views">
        <ul>
          {links.map((one) => (
            <li key={one.name}>
              <a
                href={formatRoute({ view: one.name, parameters: {} })}
                aria-current={one.name === (view?.name ?? "") ? "page" : undefined}
                onClick={(event) => {
                  event.preventDefault()
                  host.go({ view: one.name, parameters: {} })
                }}
              >
                {one.title}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      {view && (
        <section data-view={view.name} key={view.name} aria-label={view.title}>
          {missing ? (
            <p class="missing">{missing}</p>
          ) : (
            <view.Component record={record} host={host} parameters={route.parameters} set={set} />
          )}
        </section>
      )}
    </div>
  )
}

function useRoute(host: Host): Route {
  const [route, setRoute] = useState(host.route())
  useLayoutEffect(() => host.onRoute(() => setRoute(host.route())), [host]) // before anything can be clicked
  return route
}
