// Where the page lives: what it can ask of Python, and where the route is kept.
import type { Request, Source } from "./lab/api"
import type { LivePage, PagePicture } from "./record"

/** A route: the view's name and its parameters, as in `#layer?n=7&f=3`. */
export interface Route {
  view: string
  parameters: Record<string, string>
}

export interface Host {
  /** "file": a saved page, offline; "notebook": a cell's output; "lab": `striate lab`, which answers requests. */
  kind: "file" | "notebook" | "lab"
  /** Title of what is shown when the route names no view; absent if that is nothing. */
  home?: string
  /** Pictures that Python has drawn of the record's network. */
  pictures(record: LivePage): PagePicture[]
  /** The address that restores a route; absent where no address does. */
  link?(route: Route): string
  /** The route now, changes of it from outside, and a change of it from the page. replace: no new entry of history. */
  route(): Route
  onRoute(listener: () => void): () => void
  go(route: Route, replace?: boolean): void
  /** Answer of the server to a request; absent where no server is. */
  request?: Request
  /** What the record was made of, for requests; absent where no server is. */
  source?(): Source
  /** Show another network; absent where the page has only its own. */
  open?(source: Source): void
}

export function parseRoute(fragment: string): Route {
  const [view = "", query = ""] = fragment.replace(/^#/, "").split("?", 2)
  return { view, parameters: Object.fromEntries(new URLSearchParams(query)) }
}

export function formatRoute({ view, parameters }: Route): string {
  const query = new URLSearchParams(parameters).toString()
  return `#${view}${query ? `?${query}` : ""}`
}

/** The route in the fragment of the window's address. */
export function windowRoutes(): Pick<Host, "link" | "route" | "onRoute" | "go"> {
  return {
    link: (route) => location.href.replace(/#.*$/, "") + formatRoute(route),
    route: () => parseRoute(location.hash),
    onRoute(listener) {
      addEventListener("hashchange", listener)
      return () => removeEventListener("hashchange", listener)
    },
    go(route, replace = false) {
      const fragment = formatRoute(route)
      if (fragment === location.hash) return
      // replaceState fires no event: a view that moves by itself does not scroll the page or fill the history.
      history[replace ? "replaceState" : "pushState"](null, "", fragment)
      dispatchEvent(new Event("hashchange"))
    },
  }
}

/** A route in memory, for a cell of a notebook, whose address belongs to the notebook. */
export function memoryRoutes(start = ""): Pick<Host, "route" | "onRoute" | "go"> {
  let now = parseRoute(start)
  const listeners = new Set<() => void>()
  return {
    route: () => now,
    onRoute(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    go(route) {
      now = route
      for (const listener of listeners) listener()
    },
  }
}
