// The views, in the order of their links.
import type { View } from "../view"
import { activations } from "./activations"
import { course } from "./course"
import { network } from "./network"
import { pixels } from "./pixels"
import { training } from "./training"

export const VIEWS: View[] = [
  network,
  pixels,
  activations,
  training,
  course,
]
