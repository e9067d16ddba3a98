// The module's public names, and the start of a page that holds its record.
import { mountApp, type Mounted } from "./app"
import { type Host, memoryRoutes, windowRoutes } from "./host"
import type { LivePage, PagePicture } from "./record"
import * as shared from "./shared"

export * as engine from "./engine"
export * as fields from "./views/network/fields"
export * as geometry from "./geometry"
export { large } from "./large"
export { VIEWS } from "./views"
export { CountMap } from "./views/pixels/counts"
export * as example from "./views/layer/example"
export * as bench from "./views/layer/facts"
export { memoryRoutes, windowRoutes } from "./host"
export type { Host, LivePage, Mounted }

/** Show a record inside an element of a page that has the style sheet (striate/views/page/module.py: `style_sheet`). */
export const mount = mountApp

/** What a module gives that stands in front of this one, in pages that can use it (views/lab/start.ts). */
export const more = globalThis.striateMore?.(shared)

const serialized = (svg: Element | null): string => (svg ? new XMLSerializer().serializeToString(svg) : "")

/** The pictures that stand in a saved page. */
function picturesInPage(): PagePicture[] {
  return [...document.querySelectorAll<HTMLElement>("[data-static] figure[data-kind]")].map((figure) => ({
    kind: figure.dataset["kind"] ?? "",
    caption: figure.querySelector("figcaption")?.textContent ?? "",
    svg: serialized(figure.querySelector("svg")),
  }))
}

/** A saved page, or a frame in a notebook: the record stands in it; what Python wrote gives way to the view of the route. */
function start(holder: HTMLElement) {
  const element = document.createElement("div")
  const written = document.querySelector<HTMLElement>("[data-static]")
  const record = JSON.parse(holder.textContent ?? "") as LivePage
  const host: Host = written
    ? { kind: "file", home: "Report", pictures: picturesInPage, ...windowRoutes() }
    : { kind: "notebook", pictures: ({ pictures }) => pictures ?? [], ...memoryRoutes(holder.dataset["route"]) }
  holder.before(element)
  mountApp(element, record, host, (view) => {
    if (!written) return
    written.hidden = view !== ""
    // An address of a section led here while the section was hidden.
    if (!view && location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView()
  })
}

if (typeof document !== "undefined") {
  const holder = document.querySelector<HTMLElement>("script[type='application/json'][data-striate-record]")
  if (holder) start(holder)
}
