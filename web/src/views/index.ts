// The views, in the order of their links.
import type { View } from "../view"
import { activations } from "./activations"
import { compare } from "./compare"
import { course } from "./course"
import { history } from "./history"
import { lab } from "./lab"
import { layer } from "./layer"
import { network } from "./network"
import { pixels } from "./pixels"
import { training } from "./training"

export const VIEWS: View[] = [
  layer,
  network,
  pixels,
  activations,
  lab,
  compare,
  training,
  history,
  course,
]
