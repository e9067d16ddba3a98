// The lines of the course, each with links to the views that show it; and the line above such a view.
import { formatRoute, type Host, parseRoute, type Route } from "../host"
import type { CourseLine } from "../record"
import type { View, ViewProps } from "../view"

/** The parameter of a route that says which line it shows. */
const LINE = "line"

/** The view that a link has opened is read from its start, by eye and by keyboard. */
function arrive(section: HTMLElement | null | undefined) {
  if (!section) return
  if (document.activeElement === document.body) section.focus({ preventScroll: true })
  if (section.getBoundingClientRect().top < 0) section.scrollIntoView()
}

/** A link to a route of line number k. */
function To({ host, route, k, children, label }: { host: Host; route: string; k: number; children: string; label?: string }) {
  const { view, parameters } = parseRoute(route)
  const to: Route = { view, parameters: { ...parameters, [LINE]: String(k + 1) } }
  return (
    <a
      href={formatRoute(to)}
      aria-label={label}
      onClick={(event) => {
        event.preventDefault()
        const page = event.currentTarget.closest(".striate")
        host.go(to)
        requestAnimationFrame(() => arrive(page?.querySelector<HTMLElement>("[data-view]")))
      }}
    >
      {children}
    </a>
  )
}

function Examples({ line, host, k }: { line: CourseLine; host: Host; k: number }) {
  if (!line.examples.length) return null
  return (
    <p class="examples">
      {line.examples.map((one) => (
        <To key={one.text} host={host} route={one.route} k={k}>
          {one.text}
        </To>
      ))}
    </p>
  )
}

function Course({ record, host }: ViewProps) {
  return (
    <ol class="course">
      {record.course.map((line, k) => (
        <li key={line.route}>
          <h2>
            <To host={host} route={line.route} k={k}>
              {line.title}
            </To>
          </h2>
          <p>{line.text}</p>
          <Examples line={line} host={host} k={k} />
        </li>
      ))}
    </ol>
  )
}

/** What the course says of the view below, with the way to the lines before and after. */
export function Line({ course, host, parameters }: { course: CourseLine[]; host: Host; parameters: Record<string, string> }) {
  const k = course.findIndex((_, one) => parameters[LINE] === String(one + 1))
  const line = course[k]
  if (!line) return null
  const [before, after] = [course[k - 1], course[k + 1]]
  return (
    <div class="line" role="group" aria-label="Course">
      <p>
        <b>
          {k + 1} {line.title}.
        </b>{" "}
        {line.text}
      </p>
      <Examples line={line} host={host} k={k} />
      <p class="steps">
        {before && (
          <To host={host} route={before.route} k={k - 1} label={`Line before: ${before.title}`}>
            {`\u2039 ${before.title}`}
          </To>
        )}
        {after && (
          <To host={host} route={after.route} k={k + 1} label={`Next line: ${after.title}`}>
            {`${after.title} \u203a`}
          </To>
        )}
      </p>
    </div>
  )
}

export const course: View = { name: "course", title: "Course", Component: Course }
