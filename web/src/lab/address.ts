// The network in the editor as part of the address, next to the view: a link restores both.
import { formatRoute, type Host, parseRoute, type Route } from "../host"
import type { Source } from "./api"

const NAMES = { model: "lab-model", text: "lab-text", input: "lab-input" } as const

/** The source that an address names; empty for that of the command. */
export function sourceOf(fragment: string): Source {
  const { parameters } = parseRoute(fragment)
  const source: Source = {}
  for (const key of ["model", "text", "input"] as const) {
    const value = parameters[NAMES[key]]
    if (value) source[key] = value
  }
  return source
}

const parametersOf = (source: Source): Record<string, string> =>
  Object.fromEntries(
    (["model", "text", "input"] as const).flatMap((key) => (source[key] ? [[NAMES[key], source[key]]] : [])),
  )

/** A route without the network. */
function plain(fragment: string): Route {
  const { view, parameters } = parseRoute(fragment)
  const own = new Set<string>(Object.values(NAMES))
  return { view, parameters: Object.fromEntries(Object.entries(parameters).filter(([name]) => !own.has(name))) }
}

export interface Address extends Pick<Host, "link" | "route" | "onRoute" | "go"> {
  /** Write the network into the address, without a new entry of history. */
  write(source: Source): void
}

/** The address of the window. onLink: called when another address was opened in it, with its network. */
export function address(onLink: (source: Source) => void): Address {
  let source = sourceOf(location.hash)
  const whole = ({ view, parameters }: Route) => formatRoute({ view, parameters: { ...parameters, ...parametersOf(source) } })
  const changed = () => dispatchEvent(new Event("striate-route"))
  addEventListener("hashchange", () => {
    // An entry of history that the page made has the network of its time, and the one in the editor stays.
    if (history.state?.striate) history.replaceState({ striate: true }, "", whole(plain(location.hash)))
    else {
      source = sourceOf(location.hash)
      history.replaceState({ striate: true }, "", location.hash || whole({ view: "", parameters: {} }))
      onLink(source)
    }
    changed()
  })
  return {
    link: (route) => location.href.replace(/#.*$/, "") + whole(route),
    route: () => plain(location.hash),
    onRoute(listener) {
      addEventListener("striate-route", listener)
      return () => removeEventListener("striate-route", listener)
    },
    go(route, replace = false) {
      const fragment = whole(route)
      if (fragment === location.hash) return
      history[replace ? "replaceState" : "pushState"]({ striate: true }, "", fragment)
      changed()
    },
    write(next) {
      source = next
      history.replaceState({ striate: true }, "", whole(plain(location.hash)))
    },
  }
}
