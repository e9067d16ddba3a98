// The panel of the lab: the network's text, its input size, what a check finds in it.
import { useLayoutEffect, useRef, useState } from "preact/hooks"
import { channelsLast } from "../large"
import type { Finding, Fix } from "../record"
import { type Source, request } from "./api"
import { countText, Findings, findingsOf, Problem } from "./findings"
import type { State } from "./network"
import { type } from "./typing"

/** Milliseconds from the last key to the check. */
export const PAUSE_MS = 250

export interface PanelProps {
  state: State
  /** The source in the editor, and a number that grows whenever the page, not the reader, has set it. */
  shown: { source: Source; times: number }
  /** Names that can be opened. */
  names: string[]
  /** Another source; pause: in milliseconds, before it is checked. */
  change(source: Source, pause?: number): void
}

interface Step {
  text: string
  input: string
}

export function Panel({ state, shown, names, change }: PanelProps) {
  const area = useRef<HTMLTextAreaElement>(null)
  const size = useRef<HTMLInputElement>(null)
  const [steps, setSteps] = useState<Step[]>([])
  const [refused, setRefused] = useState<Finding>()
  const { answer, problem, lost, busy } = state
  const findings = findingsOf(answer.page)

  // What the reader types stays as it is; what the page sets is written over it.
  useLayoutEffect(() => {
    if (area.current) area.current.value = shown.source.text ?? answer.text
    if (size.current) size.current.value = shown.source.input ?? ""
  }, [shown.times])

  const edited = (pause = PAUSE_MS) => {
    setRefused(undefined)
    change(withSize({ text: area.current?.value ?? "" }, size.current?.value), pause)
  }
  const resized = () => {
    const own = state.source.model && area.current?.value === answer.text ? { model: state.source.model } : { text: area.current?.value ?? "" }
    change(withSize(own, size.current?.value), PAUSE_MS)
  }
  const write = (step: Step) => {
    if (size.current) size.current.value = step.input
    if (area.current) type(area.current, step.text)
    edited(0)
  }
  const apply = async (finding: Finding, fix: Fix) => {
    const now = { text: area.current?.value ?? "", input: size.current?.value ?? "" }
    try {
      const { code, node } = finding
      const fixed = await request("fix", { ...state.source, code, node, fix: fix.text })
      if (area.current?.value !== now.text) return // typed meanwhile
      setSteps([...steps, now])
      write(fixed)
    } catch (error) {
      setRefused((error as { problem?: Finding }).problem)
    }
  }
  const undo = () => {
    const last = steps.at(-1)
    setSteps(steps.slice(0, -1))
    if (last) write(last)
  }
  return (
    <div class="panel">
      <label for="lab-text">Network as notation or TOML</label>
      <textarea
        id="lab-text" ref={area} rows={9} spellcheck={false} autocomplete="off" autocapitalize="off" wrap="soft"
        aria-describedby="lab-count" aria-invalid={problem !== undefined} onInput={() => edited()}
      />
      <div class="row">
        <label for="lab-input">Input size</label>
        <input id="lab-input" ref={size} size={14} autocomplete="off" spellcheck={false} placeholder={channelsLast(answer.page.show.input).join("x")} onInput={resized} />
        <button type="button" disabled={!steps.length} onClick={undo}>Undo fix</button>
      </div>
      <Open names={names} open={(model) => change({ model })} />
      <p id="lab-count" class="count" role="status" data-busy={busy}>
        {lost ? "striate lab has ended" : problem ? "cannot be read" : countText(findings)}
      </p>
      {lost && (
        <div class="problem">
          <p>This page cannot ask Python any more. Run <code>striate lab</code> again and append the part of this address from # on to its link.</p>
          <button type="button" onClick={() => edited(0)}>Ask again</button>
        </div>
      )}
      {problem && !lost && <Problem problem={problem} />}
      {refused && <Problem problem={refused} />}
      {problem ? <p class="note">The views still show the last network that could be read.</p> : <Findings findings={findings} apply={apply} />}
    </div>
  )
}

function withSize(source: Source, input = ""): Source {
  return input.trim() ? { ...source, input: input.trim() } : source
}

/** Opens a model of the catalogue or a run by its name. */
function Open({ names, open }: { names: string[]; open: (name: string) => void }) {
  const field = useRef<HTMLInputElement>(null)
  const known = () => {
    const name = field.current?.value.trim() ?? ""
    if (names.includes(name)) open(name)
  }
  return (
    <form
      class="row"
      onSubmit={(event) => {
        event.preventDefault()
        const name = field.current?.value.trim()
        if (name) open(name)
      }}
    >
      <label for="lab-open">Open</label>
      <input id="lab-open" ref={field} list="lab-names" size={14} autocomplete="off" spellcheck={false} placeholder="resnet18" onChange={known} />
      <datalist id="lab-names">
        {names.map((name) => <option value={name} key={name} />)}
      </datalist>
      <button type="submit">Open</button>
    </form>
  )
}
