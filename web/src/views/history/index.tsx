// Hubel and Wiesel, and the catalogue as a timeline.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks"
import { channelsLast, grouped } from "../../large"
import { clamp } from "../../parts/grid"
import { ShareBar } from "../../parts/share"
import { Picture, READABLE, Scroll } from "../../picture"
import type { HistoryFamily, HistoryModel } from "../../record"
import type { View, ViewProps } from "../../view"
import { Cells } from "./cells"

const PAPERS = [
  {
    year: 1959,
    text:
      "They recorded from single cells in the striate cortex of cats while light fell on a screen. Light over the whole screen did almost " +
      "nothing. A cell answered to a slit, a bar or an edge, at one place and at one orientation: its receptive field has long regions " +
      "side by side, where light excites or inhibits.",
    source: "Receptive fields of single neurones in the cat's striate cortex, J. Physiol. 148, 574-591",
    url: "1959.sp006308",
  },
  {
    year: 1961,
    text:
      "Before the cortex, in the lateral geniculate body, fields are still round, as those of the retina: a center that excites and a ring " +
      "that inhibits, or the other way round. The ring is stronger here, so that contrast counts more than light. Cells that prefer an " +
      "orientation come first in the cortex.",
    source: "Integrative action in the cat's lateral geniculate body, J. Physiol. 155, 385-398",
    url: "1961.sp006635",
  },
  {
    year: 1962,
    text:
      "They told simple cells from complex ones. A simple cell asks for its bar at one place; a complex cell takes the same orientation " +
      "anywhere in its field. Their proposal is a hierarchy: a simple cell adds cells whose centers lie along a line, a complex cell adds " +
      "simple cells of one orientation at neighboring places.",
    source:
      "Receptive fields, binocular interaction and functional architecture in the cat's visual cortex, J. Physiol. 160, 106-154",
    url: "1962.sp006837",
  },
  {
    year: 1968,
    text:
      "The same kinds of cells are in the striate cortex of monkeys, with smaller fields, and so are cells that stop answering when a line " +
      "grows too long. Cells below each other share an orientation and prefer one eye: columns cover the picture like one layer of " +
      "filters that is repeated at every place. The Nobel Prize followed in 1981.",
    source: "Receptive fields and functional architecture of monkey striate cortex, J. Physiol. 195, 215-243",
    url: "1968.sp008455",
  },
]

function History({ record, host, parameters, set }: ViewProps) {
  const families = record.history?.families ?? []
  const wanted = parameters["model"] ?? record.show.name
  const found = families.findIndex((family) => family.models.some((model) => model.name === wanted))
  const at = Math.max(found, 0)
  const family = families[at]
  const choose = (place: number) => {
    const next = families[clamp(place, families.length)]
    if (next) set({ model: next.shown }, true)
  }
  return (
    <>
      <h2>Hubel and Wiesel</h2>
      <Cells />
      <ol class="papers">
        {PAPERS.map((paper) => (
          <li key={paper.year}>
            <h3>{paper.year}</h3>
            <p>{paper.text}</p>
            <p class="small">
              D. H. Hubel, T. N. Wiesel: {paper.source}. https://doi.org/10.1113/jphysiol.{paper.url}
            </p>
          </li>
        ))}
      </ol>
      <h2>Networks since then</h2>
      {families.length > 0 && family ? (
        <>
          <Timeline families={families} at={at} choose={choose} />
          <Family
            key={family.name}
            family={family}
            host={host}
            pictures={record.history?.pictures ?? ""}
            model={found < 0 ? family.shown : wanted}
            choose={(name) => set({ model: name }, true)}
          />
        </>
      ) : (
        <p class="missing">
          This page does not hold the catalogue: <code>striate models</code> prints it, <code>striate models NAME</code> an entry.
        </p>
      )}
    </>
  )
}

interface TimelineProps {
  families: HistoryFamily[]
  at: number
  choose(place: number): void
}

function Timeline({ families, at, choose }: TimelineProps) {
  const box = useRef<HTMLDivElement>(null)
  const keyed = useRef(false)
  // Before the next key: the focus is on the tab that is shown.
  useLayoutEffect(() => {
    const tab = box.current?.querySelector<HTMLElement>("[aria-selected=true]")
    if (!tab || !box.current) return
    if (keyed.current) tab.focus({ preventScroll: true })
    keyed.current = false
    box.current.scrollLeft = tab.offsetLeft - box.current.clientWidth / 2 + tab.offsetWidth / 2
  }, [at])
  return (
    <div
      class="timeline"
      ref={box}
      role="tablist"
      aria-label="Families of networks by year"
      onKeyDown={(event) => {
        const steps: Record<string, number> = {
          ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: families.length - 1,
        }
        const to = steps[event.key]
        if (to === undefined) return
        event.preventDefault()
        keyed.current = true
        choose(to)
      }}
    >
      {families.map((family, k) => (
        <button
          type="button"
          role="tab"
          id={`family-${k}`}
          key={family.name}
          aria-selected={k === at}
          aria-controls="family"
          tabIndex={k === at ? 0 : -1}
          onClick={() => choose(k)}
        >
          <span class="year">{families[k - 1]?.year === family.year ? "" : family.year}</span>
          <span class="dot" aria-hidden="true" />
          <span>{family.name}</span>
        </button>
      ))}
    </div>
  )
}

interface FamilyProps {
  family: HistoryFamily
  host: ViewProps["host"]
  pictures: string
  model: string
  choose(name: string): void
}

function Family({ family, host, pictures, model, choose }: FamilyProps) {
  const [zoom, setZoom] = useState(READABLE)
  const drawn = usePictures(pictures)
  const svg = drawn?.[model]
  const most = Math.max(...family.models.map((one) => one.params ?? 0))
  const open = (name: string) => {
    if (!host.open) return choose(name)
    host.open({ model: name })
    host.go({ view: "network", parameters: {} })
  }
  return (
    <div id="family" role="tabpanel" aria-label={family.name} data-family={family.name}>
      <h3>
        {family.name}, {family.year}
      </h3>
      <p class="new">{family.new}</p>
      <p class="small">
        {family.paper}. {family.url}
      </p>
      {svg ? (
        <Picture
          svg={svg}
          label={`${model} as blocks`}
          zoom={zoom}
          onZoom={setZoom}
        />
      ) : (
        drawn && (
          <p class="missing">
            This page does not hold the picture of {model}: <code>striate draw {model} -o {model}.svg</code> draws it,{" "}
            <code>striate report {model} -o {model}.html</code> writes a page like this one.
          </p>
        )
      )}
      <Scroll label={`Networks of ${family.name}`}>
        <table>
          <caption>Published numbers; none where the paper gives none</caption>
          <thead>
            <tr>
              <th scope="col">network</th>
              <th scope="col">input</th>
              <th scope="col">parameters</th>
              <th scope="col">1e9 MACs</th>
              <th scope="col">note</th>
            </tr>
          </thead>
          <tbody>
            {family.models.map((one) => (
              <Row key={one.name} one={one} most={most} here={one.name === model} lab={host.open !== undefined} open={open} />
            ))}
          </tbody>
        </table>
      </Scroll>
    </div>
  )
}

interface RowProps {
  one: HistoryModel
  most: number
  here: boolean
  lab: boolean
  open(name: string): void
}

function Row({ one, most, here, lab, open }: RowProps) {
  return (
    <tr class={here ? "here" : ""}>
      <th scope="row">
        <button type="button" class="link" onClick={() => open(one.name)} aria-label={lab ? `Open ${one.name}` : `Show ${one.name}`}>
          {one.name}
        </button>
      </th>
      <td>{channelsLast(one.input).join(" x ")}</td>
      <td class="number">
        {one.params === null ? "none" : grouped(String(one.params))}
        {one.params !== null && <ShareBar share={one.params / most} color="params" />}
      </td>
      <td class="number">{one.gmacs ?? "none"}</td>
      <td class="note">{one.note}</td>
    </tr>
  )
}

const read = new Map<string, Promise<Record<string, string>>>()

/** The pictures of the timeline; undefined until they are read, {} where the browser cannot. */
function usePictures(packed: string): Record<string, string> | undefined {
  const [pictures, setPictures] = useState<Record<string, string>>()
  useEffect(() => {
    let gone = false
    if (!read.has(packed)) read.set(packed, unpack(packed))
    read.get(packed)?.then(
      (all) => !gone && setPictures(all),
      () => !gone && setPictures({}),
    )
    return () => {
      gone = true
    }
  }, [packed])
  return pictures
}

async function unpack(packed: string): Promise<Record<string, string>> {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0))
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))
  return JSON.parse(await new Response(stream).text()) as Record<string, string>
}

export const history: View = { name: "history", title: "History", Component: History }
