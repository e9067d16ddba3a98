// View `lab`: the experiment of Hubel and Wiesel by hand. What it shows is a module of its own (start.ts), which only
// pages hold that can use it.
import type { Host } from "../../host"
import type { LivePage } from "../../record"
import type { View } from "../../view"

function missing(record: LivePage, host: Host): string {
  if (host.request) return ""
  if (!record.experiment) return `${record.no_model ?? "This page holds no weights to compute with"}. striate lab MODEL puts an electrode into any network.`
  return record.experiment.nodes.length ? "" : "No node of the network has a map, so its units have no place on the screen."
}

export const lab: View = { name: "lab", title: "Experiment", missing, Component: () => null }
