// What a view is. A new view is one file in views/ and its line in views/index.ts.
import type { ComponentType } from "preact"
import type { Host } from "./host"
import type { LivePage } from "./record"

export interface ViewProps {
  record: LivePage
  host: Host
  /** Parameters of the route; those that are missing have the view's default. */
  parameters: Record<string, string>
  /** Change parameters of the route. replace: no new entry of the browser's history. */
  set(changes: Record<string, string | number | undefined>, replace?: boolean): void
}

export interface View {
  /** Its route, and the value of `data-view` at its root. */
  name: string
  title: string
  /** Why it cannot be shown for this record and host; empty if it can. */
  missing?(record: LivePage, host: Host): string
  Component: ComponentType<ViewProps>
}
