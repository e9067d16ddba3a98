// Findings below the editor: what, where, why, and fixes to click.
import { useState } from "preact/hooks"
import { plural } from "../large"
import { SEVERITIES } from "../parts/severity"
import type { CodeEntry, Finding, Fix, LivePage, RuleEntry } from "../record"
import { request } from "./api"

/** Of a network, problems first. */
export const findingsOf = ({ show }: LivePage): Finding[] => [...show.problems, ...show.findings]

/** Their number in words. */
export function countText(findings: Finding[]): string {
  const parts = Object.entries(SEVERITIES).flatMap(([severity, { word }]) => {
    const count = findings.filter((finding) => finding.severity === severity).length
    return count ? [plural(count, word)] : []
  })
  return parts.length ? parts.join(", ") : "no findings"
}

/** Whether a fix changes the text by itself. */
export const applies = (fix: Fix): boolean => fix.input !== null || Object.keys(fix.change).length > 0

export function Findings({ findings, apply }: { findings: Finding[]; apply: (finding: Finding, fix: Fix) => void }) {
  return (
    <ul class="findings">
      {findings.map((finding) => (
        <li key={`${finding.code} ${finding.node} ${finding.message}`} data-severity={finding.severity} data-code={finding.code}>
          <p>
            <span class="sign" aria-hidden="true">{SEVERITIES[finding.severity]?.sign ?? "i"}</span>{" "}
            <span class="word">{SEVERITIES[finding.severity]?.word ?? finding.severity}</span>
            {finding.node !== null && <>, <bdi class="node">{finding.node}</bdi></>}: {finding.message}
          </p>
          <p class="why">{finding.why}</p>
          {finding.fixes.length > 0 && (
            <ul class="fixes" aria-label={`Fixes of ${finding.code}`}>
              {finding.fixes.map((fix) => (
                <li key={fix.text}>
                  {applies(fix) ? (
                    <button type="button" onClick={() => apply(finding, fix)}>{fix.text}</button>
                  ) : (
                    <span class="advice">{fix.text}</span>
                  )}
                </li>
              ))}
            </ul>
          )}
          <Explained code={finding.code} />
        </li>
      ))}
    </ul>
  )
}

/** What a code means, asked for when it is opened. */
function Explained({ code }: { code: string }) {
  const [rule, setRule] = useState<RuleEntry | CodeEntry>()
  const open = (event: Event) => {
    if (!(event.currentTarget as HTMLDetailsElement).open || rule) return
    request("explain", { code }).then(({ rules }) => setRule(rules[0]), () => undefined)
  }
  return (
    <details onToggle={open}>
      <summary>{code}</summary>
      {rule && <p>{rule.what}</p>}
      {rule && "why" in rule && <p>{rule.why}</p>}
      {rule && "fix" in rule && <p>Fix: {rule.fix}</p>}
      {rule && "source" in rule && rule.source && <p class="source">{rule.source}</p>}
    </details>
  )
}

/** Why the text has no answer. */
export function Problem({ problem }: { problem: Finding }) {
  return (
    <div class="problem" data-code={problem.code}>
      <p>
        <span class="sign" aria-hidden="true">✕</span> {problem.node !== null && <bdi class="node">{problem.node}</bdi>} {problem.message}
      </p>
      {problem.where && <pre tabIndex={0} aria-label="where">{problem.where}</pre>}
      {problem.why && <p class="why">{problem.why}</p>}
      {problem.fixes.map((fix) => <p class="advice" key={fix.text}>{fix.text}</p>)}
    </div>
  )
}
