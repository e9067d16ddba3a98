// The module's public names, and the start of a page that holds its record.
import { mountApp, type Mounted, type Shown } from "./app"
import { type Host, memoryRoutes, windowRoutes } from "./host"
import { startLab } from "./lab"
import labStyle from "./lab/lab.css"
import type { LivePage, PagePicture } from "./record"
import networksStyle from "./networks.css"
import frameStyle from "./style.css"
import activationsStyle from "./views/activations/activations.css"
import trainingStyle from "./views/training/training.css"

const STYLES = [
  frameStyle,
  labStyle,
  activationsStyle,
  trainingStyle,
  networksStyle,
]

export * as engine from "./engine"
export * as fields from "./views/network/fields"
export * as geometry from "./geometry"
export { large } from "./large"
export { CountMap } from "./views/pixels/counts"
export { memoryRoutes, windowRoutes } from "./host"
export type { Host, LivePage, Mounted }

/** Show a record inside an element. The style sheet is added to the element's document or shadow root, once. */
export function mount(element: Element, record: LivePage, host: Host, shown?: Shown): Mounted {
  const root = element.getRootNode()
  const head = root instanceof ShadowRoot ? root : document.head
  if (!head.querySelector("style[data-striate]")) {
    const sheet = document.createElement("style")
    sheet.dataset["striate"] = ""
    sheet.textContent = STYLES.join("\n")
    head.append(sheet)
  }
  return mountApp(element, record, host, shown)
}

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
  mount(element, record, host, (view) => {
    if (!written) return
    written.hidden = view !== ""
    // An address of a section led here while the section was hidden.
    if (!view && location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView()
  })
}

if (typeof document !== "undefined") {
  const holder = document.querySelector<HTMLElement>("script[type='application/json'][data-striate-record]")
  if (holder) start(holder)
  const lab = document.querySelector<HTMLElement>("script[type='application/json'][data-striate-lab]")
  if (lab) startLab(lab, mount)
}
