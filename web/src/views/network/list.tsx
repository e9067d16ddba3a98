// All nodes in a list that draws only the visible rows: one tab stop, however many nodes there are.
import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks"
import { large } from "../../large"
import { clamp } from "../../parts/grid"
import type { Show } from "../../record"
import { nodeCount } from "./details"

const ROW = 44
const SEEN = 9

export function NodeList({ show, opened, open }: { show: Show; opened: string; open(name: string): void }) {
  const [words, setWords] = useState("")
  const [top, setTop] = useState(0)
  const [at, setAt] = useState(0)
  const box = useRef<HTMLDivElement>(null)
  const id = useId()
  const rows = useMemo(() => {
    const wanted = words.toLowerCase()
    const failed = show.problems.map((problem) => ({
      name: problem.node ?? "",
      text: problem.message,
      size: "no output",
      cost: problem.code,
      bad: true,
    }))
    const nodes = show.nodes.map((node) => ({
      name: node.name,
      text: node.text,
      size: node.sizes.join(", "),
      cost: [node.params && `${large(BigInt(node.params))} params`, node.macs && `${large(BigInt(node.macs))} MACs`]
        .filter(Boolean)
        .join(", "),
      bad: false,
    }))
    return [...nodes, ...failed].filter((row) => `${row.name} ${row.text}`.toLowerCase().includes(wanted))
  }, [show, words])
  useEffect(() => {
    const place = rows.findIndex((row) => row.name === opened)
    if (place >= 0) go(place)
  }, [opened, rows])
  const go = (place: number) => {
    const next = clamp(place, rows.length)
    setAt(next)
    const element = box.current
    if (!element) return
    if (next * ROW < element.scrollTop) element.scrollTop = next * ROW
    if ((next + 1) * ROW > element.scrollTop + element.clientHeight)
      element.scrollTop = (next + 1) * ROW - element.clientHeight
    setTop(element.scrollTop)
  }
  const first = Math.max(Math.floor(top / ROW) - 2, 0)
  const drawn = rows.slice(first, first + SEEN + 5)
  return (
    <section class="nodes" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>All nodes: {large(BigInt(nodeCount(show)))}</h2>
      <label class="find">
        Find{" "}
        <input
          type="search"
          value={words}
          placeholder="conv, layer1, relu …"
          onInput={(event) => {
            setWords(event.currentTarget.value)
            setAt(0)
            if (box.current) box.current.scrollTop = 0
            setTop(0)
          }}
        />
      </label>
      <div
        class="rows"
        ref={box}
        role="listbox"
        tabIndex={0}
        aria-label="Nodes"
        aria-activedescendant={rows.length ? `${id}-${at}` : undefined}
        style={{ maxHeight: `${SEEN * ROW}px` }}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
        onKeyDown={(event) => {
          const to: Record<string, number> = {
            ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + SEEN, PageUp: at - SEEN, Home: 0, End: rows.length - 1,
          }
          const row = rows[at]
          if (event.key === "Enter" && row) open(row.name)
          else if (event.key in to) go(to[event.key] ?? 0)
          else return
          event.preventDefault()
        }}
      >
        <div role="presentation" style={{ height: `${rows.length * ROW}px`, position: "relative" }}>
          {drawn.map((row, k) => (
            <div
              key={row.name}
              id={`${id}-${first + k}`}
              role="option"
              aria-selected={row.name === opened}
              aria-posinset={first + k + 1}
              aria-setsize={rows.length}
              class={`row${first + k === at ? " at" : ""}${row.bad ? " bad" : ""}`}
              style={{ top: `${(first + k) * ROW}px`, height: `${ROW}px` }}
              onClick={() => open(row.name)}
            >
              <bdi class="name">{row.name}</bdi>
              <span class="text">{row.text}</span>
              <span class="size">{row.size}</span>
              <span class="cost">{row.cost}</span>
            </div>
          ))}
        </div>
        {rows.length === 0 && <p>No name or layer of a node contains this text.</p>}
      </div>
      {show.unreached.length > 0 && (
        <p class="small">
          Not analyzed, because they follow a node without output:{" "}
          {show.unreached.map((name, k) => (
            <>
              {k > 0 && ", "}
              <bdi>{name}</bdi>
            </>
          ))}
          .
        </p>
      )}
    </section>
  )
}
