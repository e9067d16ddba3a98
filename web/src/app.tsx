// The frame of the page: one link for each view, and the view that the route names.
import { render } from "preact"
import { useLayoutEffect, useState } from "preact/hooks"
import type { Host, Route } from "./host"
import { formatRoute } from "./host"
import { bare } from "./names"
import { svgFile } from "./parts/svgfile"
import type { LivePage } from "./record"
import { VIEWS } from "./views"
import { Line } from "./views/course"

export interface Mounted {
  update(record: LivePage): void
  destroy(): void
  /** The picture of the view as the text of an SVG file; empty if the view has none. */
  toSVG(): string
}

/** Called after each change of route, with the view shown or "" for none. */
export type Shown = (view: string) => void

export function mountApp(element: Element, record: LivePage, host: Host, shown?: Shown): Mounted {
  const draw = (now: LivePage) => render(<App record={bare(now)} host={host} shown={shown} />, element)
  draw(record)
  return {
    update: draw,
    destroy: () => render(null, element),
    toSVG() {
      const find = (selector: string) => element.querySelector(`[data-view] ${selector}`)
      const svg = find("svg[data-picture]") ?? find("svg")
      return svg ? svgFile(svg) : ""
    },
  }
}

function App({ record, host, shown }: { record: LivePage; host: Host; shown: Shown | undefined }) {
  const route = useRoute(host)
  const view = VIEWS.find((one) => one.name === route.view)
  useLayoutEffect(() => shown?.(view?.name ?? ""), [view, shown])
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
        <section data-view={view.name} key={view.name} aria-label={view.title} tabIndex={-1}>
          <Line course={record.course} host={host} parameters={route.parameters} />
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
