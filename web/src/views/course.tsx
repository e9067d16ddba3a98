// The lines of the course, each with a link to the view that shows it.
import { parseRoute } from "../host"
import type { View, ViewProps } from "../view"

function Course({ record, host }: ViewProps) {
  return (
    <ol class="course">
      {record.course.map((line) => (
        <li key={line.route}>
          <a
            href={line.route}
            onClick={(event) => {
              event.preventDefault()
              host.go(parseRoute(line.route))
            }}
          >
            {line.title}
          </a>
          <p>{line.text}</p>
        </li>
      ))}
    </ol>
  )
}

export const course: View = { name: "course", title: "Course", Component: Course }
