// The views, in the order of their links.
import type { View } from "../view"
import { activations } from "./activations"
import { compare } from "./compare"
import { course } from "./course"
import { history } from "./history"
import { layer } from "./layer"
import { network } from "./network"
import { pixels } from "./pixels"
import { training } from "./training"

export const VIEWS: View[] = [
  layer,
  network,
  pixels,
  activations,
  compare,
  training,
  history,
  course,
]
