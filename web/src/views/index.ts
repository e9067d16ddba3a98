// The views, in the order of their links.
import type { View } from "../view"
import { course } from "./course"

export const VIEWS: View[] = [course]
