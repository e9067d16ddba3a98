// The views, in the order of their links.
import type { View } from "../view"
import { course } from "./course"
import { training } from "./training"

export const VIEWS: View[] = [training, course]
