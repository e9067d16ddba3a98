// What the record says of the node that is open.
import type { ComponentChildren } from "preact"
import { grouped, large, plural } from "../../large"
import { formatRoute, type Host } from "../../host"
import { SEVERITIES } from "../../parts/severity"
import { ShareBar } from "../../parts/share"
import type { Finding, LivePage, PicturePart, Show, ShownNode } from "../../record"
import { Scroll } from "../../picture"
import type { ViewProps } from "../../view"
import { Units } from "./units"

interface DetailsProps extends ViewProps {
  part: PicturePart | undefined
  open(name: string): void
  back(): void
}

export function Details(props: DetailsProps) {
  const { record, part, parameters, open, back } = props
  const { show } = record
  const name = parameters["node"] ?? ""
  const node = show.nodes.find((one) => one.name === name)
  const problem = show.problems.find((one) => one.node === name)
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return
    event.preventDefault()
    back()
  }
  if (!name || (!node && !problem && !part && !show.inputs[name])) return <Summary {...props} />
  const title = node || problem || !part ? name : part.names
  return (
    <section class="details" aria-label="Details" onKeyDown={onKeyDown} data-opened={name}>
      <h2 tabIndex={-1}>
        <bdi>{title}</bdi>
      </h2>
      {node && <Node {...props} node={node} />}
      {!node && problem && (
        <>
          <p class="state bad">
            <span aria-hidden="true">✕ </span>This node has no output: the network ends before it.
          </p>
          <Findings findings={[problem]} />
        </>
      )}
      {!node && !problem && part && <Module record={record} part={part} open={open} />}
      {show.inputs[name] && !node && <p>Input of the network: {size(show.inputs[name] ?? [])}.</p>}
      {node && part && part.nodes.length > 1 && part.key !== name && (
        <p>
          Part of{" "}
          <button type="button" class="link" onClick={() => open(part.key)}>
            <bdi>{part.names}</bdi>
          </button>
          {part.times > 1 && `, which is drawn once and appears ${part.times} times in a row`}.
        </p>
      )}
      {node && part && part.key === name && part.nodes.length > 1 && <Module record={record} part={part} open={open} />}
      {node && <Units {...props} node={node} key={name} />}
    </section>
  )
}

function Summary({ record, open }: DetailsProps) {
  const { show } = record
  const errors = [...show.problems, ...show.findings.filter((one) => one.severity === "error")]
  const rest = show.findings.filter((one) => one.severity !== "error")
  return (
    <section class="details" aria-label="Summary">
      <h2 tabIndex={-1}>
        <bdi>{show.name}</bdi>
      </h2>
      <dl class="facts">
        {Object.entries(show.inputs).map(([name, sizes]) => (
          <Fact key={name} label={Object.keys(show.inputs).length > 1 ? `input ${name}` : "input"}>{size(sizes)}</Fact>
        ))}
        <Fact label="nodes">{large(BigInt(nodeCount(show)))}</Fact>
        <Fact label="parameters">{total(show, "params")}</Fact>
        <Fact label="MACs">{total(show, "macs")}</Fact>
      </dl>
      <p class="small">MACs: {show.convention}.</p>
      {errors.length > 0 && (
        <p class="state bad">
          <span aria-hidden="true">✕ </span>
          {plural(errors.length, "error")}:{" "}
          {[...new Set(errors.map((one) => one.node ?? ""))].filter(Boolean).map((name) => (
            <>
              <button type="button" class="link" onClick={() => open(name)}>
                <bdi>{name}</bdi>
              </button>{" "}
            </>
          ))}
        </p>
      )}
      {errors.length === 0 && (
        <p class="state good">
          <span aria-hidden="true">✓ </span>Every layer has an output.
        </p>
      )}
      {rest.length > 0 && (
        <details>
          <summary>Warnings and remarks: {rest.length}</summary>
          <Findings findings={rest} open={open} />
        </details>
      )}
    </section>
  )
}

/** All nodes, those without an output counted. */
export const nodeCount = (show: Show): number =>
  show.nodes.length + new Set(show.problems.map((one) => one.node)).size + show.unreached.length

/** The shape of a value, which has channels first, in the order of papers: height x width x channels. */
const size = ([channels, ...sides]: number[]): string => [...sides, channels].join(" x ")

/** A total; a lower bound if some nodes are unknown. */
const total = ({ totals }: Show, what: "params" | "macs"): string =>
  `${totals.unknown?.[what]?.length ? "at least " : ""}${grouped(String(totals[what]))}`

export function Fact({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  )
}

/** A number with its share of a total as a bar. */
function Share({ n, total, color, unknown }: { n: number; total: number; color: string; unknown: boolean }) {
  if (unknown) return <>unknown</>
  const share = total ? n / total : 0
  return (
    <>
      {grouped(String(n))}
      {n > 0 && (
        <>
          {" "}
          <span class="small">{(share * 100).toFixed(share < 0.1 ? 1 : 0)} % of all</span>
          <ShareBar share={share} color={color} />
        </>
      )}
    </>
  )
}

const perAxis = (values: (string | number)[]): string =>
  new Set(values).size === 1 ? String(values[0]) : values.join(" x ")

function Node({ record, host, node, open }: DetailsProps & { node: ShownNode }) {
  const { show } = record
  const readers = show.nodes.filter((one) => one.inputs.some((value) => value.replace(/:\d+$/, "") === node.name))
  const windows = Object.entries(node.window)
  const found = [...show.problems, ...show.findings].filter((one) => one.node === node.name)
  const shares = typeof node.shares === "string" ? node.shares : [...new Set(Object.values(node.shares))].join(", ")
  return (
    <>
      <p>{node.text}</p>
      <dl class="facts">
        <Fact label="output">{node.sizes.join(", ")}</Fact>
        <Fact label="reads">
          <Names names={node.inputs} known={show.nodes} open={open} />
        </Fact>
        <Fact label="read by">
          {readers.length ? <Names names={readers.map((one) => one.name)} known={show.nodes} open={open} /> : "nothing: an output"}
        </Fact>
        {node.filter && <Fact label="one filter">{`${node.filter.slice(1).join("x")}, depth ${node.filter[0]}`}</Fact>}
        <Fact label="parameters">
          <Share n={node.params} total={show.totals.params} color="params" unknown={node.unknown.includes("params")} />
          {shares && (
            <span class="small">
              {" "}
              uses those of <bdi>{shares}</bdi>
            </span>
          )}
        </Fact>
        <Fact label="MACs">
          <Share n={node.macs} total={show.totals.macs} color="macs" unknown={node.unknown.includes("macs")} />
        </Fact>
        <Fact label="memory">{node.unknown.includes("memory") ? "unknown" : plural(node.activation_bytes, "byte")}</Fact>
        {node.frozen.length > 0 && <Fact label="not trained">{node.frozen.join(", ")}</Fact>}
        {node.fixed.length > 0 && <Fact label="constant">{node.fixed.join(", ")}</Fact>}
        <Fields record={record} node={node} />
        {!node.aligned && (
          <Fact label="branches">
            <span class="bad">misaligned: they look at different places</span>
          </Fact>
        )}
      </dl>
      {windows.length > 0 && (
        <>
          <h3>Window</h3>
          <Scroll label="Window by axis">
            <table>
              <thead>
                <tr>
                  {["axis", "kernel", "stride", "dilation", "padding", "size formula", "left over"].map((word) => (
                    <th scope="col" key={word}>
                      {word}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {windows.map(([axis, one]) => (
                  <tr key={axis}>
                    <th scope="row">{({ h: "height", w: "width", d: "depth", l: "length" } as Record<string, string>)[axis] ?? axis}</th>
                    <td>{one.kernel}</td>
                    <td>{one.stride}</td>
                    <td>{one.dilation}</td>
                    <td>{one.pad[0] === one.pad[1] ? one.pad[0] : one.pad.join(" + ")}</td>
                    <td>{one.formula}</td>
                    <td>{leftOver(one)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Scroll>
          <Bench host={host} show={show} node={node} />
        </>
      )}
      {found.length > 0 && (
        <>
          <h3>Findings</h3>
          <Findings findings={found} />
        </>
      )}
    </>
  )
}

function leftOver(window: ShownNode["window"][string]): string {
  const texts = [
    window.lost && `${plural(window.lost, "position")} never read`,
    window.wasted_padding && `${window.wasted_padding} of the padding unused`,
    window.overhang && `${window.overhang} past the end`,
  ].filter(Boolean)
  return texts.join(", ") || "nothing"
}

function Fields({ record, node }: { record: LivePage; node: ShownNode }) {
  const by = node.receptive_fields ?? { "": node.receptive_field }
  const several = Object.keys(record.show.inputs).length > 1
  return (
    <>
      {Object.entries(by).map(([input, axes]) => {
        const fields = Object.values(axes)
        if (!fields.length) return null
        return (
          <Fact key={input} label={several && input ? `field on ${input}` : "receptive field"}>
            {fields.map((field) => field.size).join("x")} pixels, jump {perAxis(fields.map((field) => field.jump))}, start{" "}
            {perAxis(fields.map((field) => field.start))}
          </Fact>
        )
      })}
    </>
  )
}

/** Its numbers on the bench of a single layer, along the first axis. */
function Bench({ host, show, node }: { host: Host; show: LivePage["show"]; node: ShownNode }) {
  const [first] = Object.values(node.window)
  if (!first || first.transposed) return null
  const [value = ""] = node.inputs
  const sizes = show.inputs[value] ?? show.nodes.find((one) => one.name === value)?.output
  if (!sizes) return null
  const parameters: Record<string, string> = {
    n: String(sizes[1]), f: String(first.kernel), s: String(first.stride), p: String(first.pad[0] ?? 0), d: String(first.dilation),
  }
  if (node.filter) Object.assign(parameters, { c: String(node.filter[0]), k: String(node.output[0]) })
  const route = { view: "layer", parameters }
  return (
    <p>
      <a
        href={formatRoute(route)}
        onClick={(event) => {
          event.preventDefault()
          host.go(route)
        }}
      >
        Open in the layer bench
      </a>
      {first.pad[0] !== first.pad[1] && <span class="small"> (there with equal padding on both sides)</span>}
    </p>
  )
}

function Names({ names, known, open }: { names: string[]; known: ShownNode[]; open(name: string): void }) {
  return (
    <>
      {names.map((name, k) => {
        const node = known.find((one) => one.name === name.replace(/:\d+$/, ""))
        return (
          <>
            {k > 0 && ", "}
            {node ? (
              <button type="button" class="link" onClick={() => open(node.name)}>
                <bdi>{name}</bdi>
              </button>
            ) : (
              <bdi>{name}</bdi>
            )}
          </>
        )
      })}
    </>
  )
}

function Module({ record, part, open }: { record: LivePage; part: PicturePart; open(name: string): void }) {
  const nodes = part.nodes.flatMap((k) => record.show.nodes[k] ?? [])
  const sum = (key: "params" | "macs") => nodes.reduce((total, node) => total + node[key], 0)
  return (
    <>
      <p>
        {part.times > 1 && `Drawn once; it appears ${part.times} times in a row. `}
        {plural(nodes.length, "node")}, {grouped(String(sum("params")))} parameters, {grouped(String(sum("macs")))} MACs.
      </p>
      <ol class="members">
        {nodes.map((node) => (
          <li key={node.name}>
            <button type="button" class="link" onClick={() => open(node.name)}>
              <bdi>{node.name}</bdi>
            </button>{" "}
            <span>{node.text}</span> <span class="small">{node.sizes.join(", ")}</span>
          </li>
        ))}
      </ol>
    </>
  )
}

export function Findings({ findings, open }: { findings: Finding[]; open?(name: string): void }) {
  return (
    <ul class="found">
      {findings.map((one, k) => (
        <li key={k} class={one.severity}>
          <p>
            <span class={`sign ${one.severity}`}>
              <span aria-hidden="true">{SEVERITIES[one.severity]?.sign} </span>
              {SEVERITIES[one.severity]?.word ?? one.severity} {one.code}
            </span>{" "}
            {open && one.node && (
              <button type="button" class="link" onClick={() => open(one.node ?? "")}>
                <bdi>{one.node}</bdi>
              </button>
            )}{" "}
            <bdi>{one.message}</bdi>
          </p>
          {one.why && (
            <p class="why">
              <bdi>{one.why}</bdi>
            </p>
          )}
          {one.fixes.length > 0 && (
            <p>
              Fix:{" "}
              {one.fixes.map((fix, n) => (
                <>
                  {n > 0 && " · "}
                  <bdi>{fix.text}</bdi>
                </>
              ))}
            </p>
          )}
        </li>
      ))}
    </ul>
  )
}
