// The views, in the order of their links.
import type { View } from "../view"
import { course } from "./course"
import { network } from "./network"
import { pixels } from "./pixels"
import { training } from "./training"

export const VIEWS: View[] = [
  network,
  pixels,
  training,
  course,
]
