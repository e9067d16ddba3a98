// The page of `striate lab`: the panel, and next to it the views of the network in it.
import { render } from "preact"
import type { Mounted } from "../app"
import type { Host } from "../host"
import type { LabRecord, LivePage } from "../record"
import type { View } from "../view"
import { address, sourceOf } from "./address"
import { request, type Source } from "./api"
import { countText, findingsOf } from "./findings"
import { Network } from "./network"
import { Panel } from "./panel"

interface Start {
  record: LabRecord
  source: Source
  history: NonNullable<LivePage["history"]>
  models: string[]
  view: string
}

type Mount = (element: Element, record: LivePage, host: Host) => Mounted

/** Start the page whose first network stands in `holder`. */
export function startLab(holder: HTMLElement, mount: Mount, all: View[]): void {
  const start = JSON.parse(holder.textContent ?? "") as Start
  const root = document.createElement("div")
  root.className = "lab"
  root.innerHTML = '<header class="striate"></header><aside class="striate" aria-label="Network"><details><summary></summary><div></div></details></aside><main></main>'
  holder.before(root)
  const [header, side, main] = [...root.children] as [Element, Element, Element]
  const details = side.firstElementChild as HTMLDetailsElement
  const [summary, panel] = [...details.children] as [Element, Element]
  render(<h1>striate lab</h1>, header)
  // Next to the views it is always open; above them, on a phone, it starts closed.
  const wide = matchMedia("(min-width: 62rem)")
  const unfold = () => (details.open = wide.matches)
  wide.addEventListener("change", unfold)
  unfold()

  let names = start.models
  let shown = { source: start.source, times: 0 }
  let views: Mounted | undefined
  const network = new Network(
    { source: start.source, answer: start.record, pictures: [], network: undefined, problem: undefined, busy: false, lost: false },
    { history: start.history },
    () => draw(),
  )
  const draw = () => {
    document.title = `${network.state.answer.page.show.name} · striate lab`
    const found = network.state.problem ? "cannot be read" : countText(findingsOf(network.state.answer.page))
    render(<>Network: <bdi>{network.state.answer.page.show.name}</bdi>, {found}</>, summary)
    render(<Panel state={network.state} shown={shown} names={names} change={change} />, panel)
    const page = network.page
    if (views) views.update(page)
  }
  const own = (source: Source) => JSON.stringify(source) === JSON.stringify(start.source)
  /** A change in the panel. */
  const change = (source: Source, pause = 0) => {
    network.check(source, pause, () => {
      place.write(own(source) ? {} : source)
      if (source.model) overwrite(source)
    })
  }
  const overwrite = (source: Source) => {
    shown = { source, times: shown.times + 1 }
    draw()
  }
  /** Another network, from a link or a view. */
  const open = (source: Source) => {
    const next = source.text || source.model ? source : start.source
    if (next.text !== undefined) overwrite(next)
    change(next)
  }
  const place = address(open)
  const host: Host = {
    kind: "lab",
    pictures: (record) => record.pictures ?? [],
    request,
    source: () => network.state.source,
    open,
    ...place,
  }
  const known = all.some((view) => view.name === place.route().view)
  const first = all.some((view) => view.name === start.view) ? start.view : "course"
  if (!known) host.go({ view: first, parameters: place.route().parameters }, true)
  draw()
  views = mount(main, network.page, host)
  const linked = sourceOf(location.hash)
  open(linked)
  request("runs", {}).then(
    ({ runs }) => {
      names = [...start.models, ...runs.map((run) => run.name)]
      draw()
    },
    () => undefined,
  )
  takeDrops(host)
}

/** An image that is dropped on the page is opened in the view of activations. */
function takeDrops(host: Host): void {
  addEventListener("dragover", (event) => event.preventDefault())
  addEventListener("drop", (event) => {
    event.preventDefault()
    const files = event.dataTransfer?.files
    if (!files?.length) return
    host.go({ view: "activations", parameters: host.route().view === "activations" ? host.route().parameters : {} })
    requestAnimationFrame(() => {
      const field = document.querySelector<HTMLInputElement>("[data-view=activations] input[type=file]")
      if (!field) return
      field.files = files
      field.dispatchEvent(new Event("change", { bubbles: true }))
    })
  })
}
