// Two networks, or one at two input sizes: changed nodes are marked, with what follows from them.
import type { ComponentChildren } from "preact"
import { useEffect, useState } from "preact/hooks"
import { Refused, type Source } from "../../lab/api"
import { channelsLast, digits, grouped, large, plural } from "../../large"
import { Picture, READABLE, Scroll } from "../../picture"
import type { ChangedNode, Diff, DiffSide, Finding, LabComparison } from "../../record"
import type { View, ViewProps } from "../../view"
import { Findings } from "../network/details"

function Compare(props: ViewProps) {
  const { record, host, parameters } = props
  const saved = record.network?.comparison
  const [answer, setAnswer] = useState<LabComparison | null>(null)
  const [refused, setRefused] = useState<Finding | string>("")
  const [busy, setBusy] = useState(false)
  const asked = parameters["b"] !== undefined || parameters["bi"] !== undefined
  useEffect(() => {
    if (!host.request || !asked) return
    const abort = new AbortController()
    const own: Source = host.source?.() ?? { model: record.show.name }
    const a = sourceOf(parameters["a"], parameters["ai"], own)
    setBusy(true)
    setRefused("")
    host
      .request("compare", { a, b: sourceOf(parameters["b"], parameters["bi"], a) }, { signal: abort.signal })
      .then(setAnswer)
      .catch((error: unknown) => {
        if (abort.signal.aborted) return
        setAnswer(null)
        setRefused(error instanceof Refused ? error.problem : "striate lab does not answer: it has ended, or the connection is lost.")
      })
      .finally(() => !abort.signal.aborted && setBusy(false))
    return () => abort.abort()
  }, [parameters["a"], parameters["ai"], parameters["b"], parameters["bi"], record])
  const shown = answer && asked ? answer : saved && !saved.missing && saved.diff && saved.svg ? { diff: saved.diff, svg: saved.svg } : null
  return (
    <>
      {host.request && <Form {...props} />}
      {busy && <p role="status">Comparing …</p>}
      {refused && <div role="alert">{typeof refused === "string" ? <p class="bad">{refused}</p> : <Findings findings={[refused]} />}</div>}
      {shown && !busy && !refused && (
        <>
          {!(answer && asked) && (
            <p>
              The network at two input sizes: {saved?.why}.
              {!host.request && (
                <>
                  {" "}
                  <code>striate diff A B --input SIZE --input-b SIZE</code> makes any other comparison; <code>-o diff.svg</code> draws it.
                </>
              )}
            </p>
          )}
          <Result {...shown} />
        </>
      )}
    </>
  )
}

/** What a field of the form names: notation where it has an arrow or a line end, else a name; empty: the other. */
function sourceOf(text: string | undefined, input: string | undefined, other: Source): Source {
  const named: Source = !text ? { ...other } : /->|\s/.test(text) ? { text } : { model: text }
  if (text) delete named.input
  return input ? { ...named, input } : named
}

function Form({ parameters, set, record }: ViewProps) {
  const [texts, setTexts] = useState(parameters)
  const field = (key: string, label: string, example: string) => (
    <label>
      {label}
      <input
        type="text"
        value={texts[key] ?? ""}
        placeholder={example}
        spellcheck={false}
        autocapitalize="off"
        onInput={(event) => setTexts({ ...texts, [key]: event.currentTarget.value })}
      />
    </label>
  )
  return (
    <form
      class="compare-form"
      onSubmit={(event) => {
        event.preventDefault()
        const keep = (key: string) => texts[key]?.trim() || undefined
        set({ a: keep("a"), ai: keep("ai"), b: keep("b") ?? (keep("bi") ? undefined : ""), bi: keep("bi") })
      }}
    >
      <fieldset>
        <legend>A</legend>
        {field("a", "Network", record.show.name)}
        {field("ai", "Input size", channelsLast(record.show.input).join("x"))}
      </fieldset>
      <fieldset>
        <legend>B</legend>
        {field("b", "Network (empty: as A)", "resnet34, or 7x7x1 -> conv 3x3")}
        {field("bi", "Input size", "its own")}
      </fieldset>
      <button type="submit">Compare</button>
    </form>
  )
}

// -- what a comparison says -----------------------------------------------------------------------------------

const LABELS: Record<string, string> = {
  text: "layer", sizes: "output", params: "parameters", macs: "MACs", field: "receptive field", aligned: "aligned branches",
  shares: "shared parameters", fixed: "constants", frozen: "not trained", window: "window", activation_bytes: "memory in bytes",
}

function factText(key: string, value: unknown): string {
  if (Array.isArray(value)) return value.join(", ") || "none"
  if (typeof value === "number") return grouped(String(value))
  if (typeof value === "boolean") return value ? "yes" : "no"
  if (value && typeof value === "object") {
    const values = Object.values(value)
    if (key === "field") return values.join("x")
    return Object.entries(value).map(([axis, one]) => `${axis}: ${typeof one === "object" ? JSON.stringify(one) : one}`).join(", ")
  }
  return String(value ?? "") || "none"
}

type State = "changed" | "resized" | "seen"

function stateOf(change: ChangedNode): State {
  const keys = Object.keys(change.facts)
  if (keys.some((key) => ["text", "shares", "fixed", "frozen"].includes(key))) return "changed"
  return keys.some((key) => ["sizes", "params", "macs"].includes(key)) ? "resized" : "seen"
}

const GROUPS: { state: State; title: string; sign: string }[] = [
  { state: "changed", title: "Changed", sign: "≠" },
  { state: "resized", title: "Different size or cost, because an earlier layer changed", sign: "↕" },
  { state: "seen", title: "Same layer, different receptive field", sign: "◎" },
]

function Result({ diff, svg }: { diff: Diff; svg: string }) {
  const [zoom, setZoom] = useState(READABLE)
  const lone = [
    { title: "Only in A", sign: "−", nodes: diff.removed },
    { title: "Only in B", sign: "+", nodes: diff.added },
  ]
  return (
    <>
      <Picture
        svg={svg}
        label={`${diff.a.name} and ${diff.b.name} next to each other, differences marked`}
        zoom={zoom}
        onZoom={setZoom}
      />
      <Totals a={diff.a} b={diff.b} />
      {GROUPS.map(({ state, title, sign }) => {
        const changes = diff.changed.filter((one) => stateOf(one) === state)
        return (
          changes.length > 0 && (
            <Group key={state} title={title} sign={sign} count={changes.length} state={state} open={state !== "seen"}>
              <Changes changes={changes} />
            </Group>
          )
        )
      })}
      {lone.map(
        ({ title, sign, nodes }) =>
          nodes.length > 0 && (
            <Group key={title} title={title} sign={sign} count={nodes.length} state="lone" open>
              <Table
                heads={["node", "layer", "output", "parameters", "MACs"]}
                rows={nodes.map((node) => [
                  node.name, node.text, node.sizes.join(", "), grouped(String(node.params)), grouped(String(node.macs)),
                ])}
              />
            </Group>
          ),
      )}
      <p>
        {diff.unchanged ? `${plural(diff.unchanged, "node")} unchanged.` : "No node is the same in both."}
        {diff.changed.length + diff.removed.length + diff.added.length === 0 && " The two networks do not differ."}
      </p>
      {diff.gone.length > 0 && (
        <>
          <h2>Findings only in A</h2>
          <Findings findings={diff.gone} />
        </>
      )}
      {diff.come.length > 0 && (
        <>
          <h2>Findings only in B</h2>
          <Findings findings={diff.come} />
        </>
      )}
    </>
  )
}

interface GroupProps {
  title: string
  sign: string
  count: number
  state: string
  open: boolean
  children: ComponentChildren
}

function Group({ title, sign, count, state, open, children }: GroupProps) {
  return (
    <details class={`changes ${state}`} open={open}>
      <summary>
        <span class="sign" aria-hidden="true">
          {sign}
        </span>{" "}
        {title}: {count}
      </summary>
      {children}
    </details>
  )
}

const FIRST_ROWS = 200

/** A row for each node, with both sides of each fact that differs. */
function Changes({ changes }: { changes: ChangedNode[] }) {
  const keys = Object.keys(LABELS).filter((key) => changes.some((one) => key in one.facts))
  return (
    <Table
      heads={["node", ...keys.map((key) => LABELS[key] ?? key)]}
      rows={changes.map((change) => [
        change.a === change.b ? change.a : `${change.a} → ${change.b}`,
        ...keys.map((key) => {
          const [a, b] = (change.facts[key] as [unknown, unknown] | undefined) ?? []
          return a === undefined && b === undefined ? "" : `${factText(key, a)} → ${factText(key, b)}`
        }),
      ])}
    />
  )
}

function Table({ heads, rows }: { heads: string[]; rows: string[][] }) {
  const [all, setAll] = useState(false)
  return (
    <>
      <Scroll label="Changes">
        <table>
          <thead>
            <tr>
              {heads.map((head) => (
                <th scope="col" key={head}>
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {(all ? rows : rows.slice(0, FIRST_ROWS)).map(([name, ...cells], k) => (
              <tr key={k}>
                <th scope="row">
                  <bdi>{name}</bdi>
                </th>
                {cells.map((cell, n) => (
                  <td key={n}>
                    <bdi>{cell}</bdi>
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {!all && rows.length > FIRST_ROWS && (
        <button type="button" onClick={() => setAll(true)}>
          Show all {large(BigInt(rows.length))} rows
        </button>
      )}
    </>
  )
}

function Totals({ a, b }: { a: DiffSide; b: DiffSide }) {
  const inputs = (side: DiffSide) => Object.values(side.inputs).map((sizes) => sizes.join(" x ")).join(", ")
  const rows: [string, number, number][] = [
    ["nodes", a.nodes, b.nodes],
    ["parameters", a.totals.params, b.totals.params],
    ["MACs", a.totals.macs, b.totals.macs],
    ["activations in bytes", a.totals.activation_bytes, b.totals.activation_bytes],
    ["peak memory in bytes", a.totals.peak_bytes, b.totals.peak_bytes],
  ]
  return (
    <Scroll label="Totals of both networks">
      <table class="totals">
        <thead>
          <tr>
            <th scope="col">total</th>
            <th scope="col">
              A: <bdi>{a.name}</bdi>
            </th>
            <th scope="col">
              B: <bdi>{b.name}</bdi>
            </th>
            <th scope="col">B / A</th>
          </tr>
        </thead>
        <tbody>
          <tr>
            <th scope="row">input</th>
            <td>{inputs(a)}</td>
            <td>{inputs(b)}</td>
            <td />
          </tr>
          {rows.map(([label, one, other]) => (
            <tr key={label}>
              <th scope="row">{label}</th>
              <td class="number">{grouped(String(one))}</td>
              <td class="number">{grouped(String(other))}</td>
              <td class="number">{one === other ? "equal" : one ? `× ${digits(other / one, 3)}` : ""}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  )
}

export const compare: View = {
  name: "compare",
  title: "Compare",
  missing({ network }, host) {
    if (host.request) return ""
    if (!network) return "This page holds no comparison. striate diff A B compares two networks, or one at two input sizes."
    const { missing } = network.comparison
    return missing && `There is no second input size to compare with: ${missing}. striate diff A B compares any two networks.`
  },
  Component: Compare,
}
