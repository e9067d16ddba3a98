// Walking through a picture of a network along its lines.
import type { PicturePart } from "../../record"

interface Box {
  groups: SVGGElement[]
  x: number
  y: number
  width: number
  height: number
}

/** Key of a part, or name of an input, to where it is in the picture. */
export type Boxes = Record<string, Box>

export function boxesOf(svg: SVGSVGElement): Boxes {
  const boxes: Boxes = Object.create(null) as Boxes
  for (const group of svg.querySelectorAll<SVGGElement>("[data-node]")) {
    const key = group.getAttribute("data-node") ?? ""
    // Lines lead to a block: what is outlined is the block itself.
    const shapes = [...group.querySelectorAll<SVGGraphicsElement>("rect, path[d$=Z]")]
    const round = (shape: Element) => 2 * Number(shape.getAttribute("rx") ?? 0) === Number(shape.getAttribute("width") ?? 1)
    const places = shapes
      .filter((shape) => !shape.classList.contains("f-line") && !round(shape)) // nor the number of a finding
      .map((shape) => shape.getBBox())
    const body = places.length ? places : [group.getBBox()]
    const x = Math.min(...body.map((one) => one.x))
    const y = Math.min(...body.map((one) => one.y))
    const box = {
      groups: [...(boxes[key]?.groups ?? []), group],
      x,
      y,
      width: Math.max(...body.map((one) => one.x + one.width)) - x,
      height: Math.max(...body.map((one) => one.y + one.height)) - y,
    }
    boxes[key] = boxes[key] ? { ...boxes[key], groups: box.groups } : box
  }
  return boxes
}

const DIRECTIONS: Record<string, [number, number]> = {
  ArrowRight: [1, 0],
  ArrowLeft: [-1, 0],
  ArrowDown: [0, 1],
  ArrowUp: [0, -1],
}

/** Where a key leads from `at`: to what is joined to it in that direction, else to what reads it or what it reads. */
export function nextBox(boxes: Boxes, parts: PicturePart[], at: string, key: string): string {
  const keys = Object.keys(boxes)
  if (key === "Home") return keys[0] ?? ""
  if (key === "End") return keys[keys.length - 1] ?? ""
  const direction = DIRECTIONS[key]
  if (!direction) return ""
  const here = boxes[at]
  if (!here) return keys[0] ?? ""
  const reads = parts.find((part) => part.key === at)?.reads ?? []
  const readers = parts.filter((part) => part.reads.includes(at)).map((part) => part.key)
  const siblings = parts
    .filter((part) => part.key !== at && (part.reads.some((one) => reads.includes(one)) || readers.some((reader) => parts.find((one) => one.key === reader)?.reads.includes(part.key))))
    .map((part) => part.key)
  const joined = [...reads, ...readers]
  const straight = (way: [number, number]) => nearest(boxes, here, way, joined, 1)
  // A line may lead around a corner, or several run the same way: such boxes come next, then the siblings of this one.
  const reached = Object.values(DIRECTIONS).map(straight)
  const rest = joined.filter((one) => !reached.includes(one))
  const ahead = direction[0] + direction[1] > 0 ? readers : reads
  return (
    straight(direction) ||
    nearest(boxes, here, direction, rest, Infinity) ||
    nearest(boxes, here, direction, siblings, 0.7) ||
    [...rest, ...ahead].find((one) => one in boxes && ahead.includes(one)) ||
    ""
  )
}

/** The box that lies closest to a direction; steep: how far it may be off, as the tangent of the angle. */
function nearest(boxes: Boxes, here: Box, [dx, dy]: [number, number], keys: string[], steep: number): string {
  let best = ""
  let least = Infinity
  for (const key of keys) {
    const there = boxes[key]
    if (!there) continue
    const x = there.x + there.width / 2 - here.x - here.width / 2
    const y = there.y + there.height / 2 - here.y - here.height / 2
    const along = x * dx + y * dy
    const off = Math.abs(x * dy + y * dx)
    if (along <= 0 || off > along * steep) continue
    if (along + 2 * off < least) [best, least] = [key, along + 2 * off]
  }
  return best
}

/** Outline the box under the keyboard's focus and the one that is open, and scroll to the former. */
export function outline(boxes: Boxes, at: string, opened: string, stage: HTMLElement | null) {
  for (const [key, box] of Object.entries(boxes)) {
    const group = box.groups[0]
    if (!group) continue
    group.querySelector(":scope > .mark-at")?.remove()
    if (key !== at && key !== opened) continue
    const frame = document.createElementNS("http://www.w3.org/2000/svg", "rect")
    frame.setAttribute("class", key === opened ? "mark-at opened" : "mark-at")
    frame.setAttribute("x", String(box.x - 5))
    frame.setAttribute("y", String(box.y - 5))
    frame.setAttribute("width", String(box.width + 10))
    frame.setAttribute("height", String(box.height + 10))
    frame.setAttribute("rx", "6")
    group.append(frame)
    if (key === at && stage) scrollTo(stage, frame)
  }
}

/** Scroll what holds a picture, and nothing else, so that a mark is seen. */
function scrollTo(stage: HTMLElement, mark: Element) {
  const [frame, box] = [stage.getBoundingClientRect(), mark.getBoundingClientRect()]
  const margin = 12
  if (box.left < frame.left + margin) stage.scrollLeft += box.left - frame.left - margin
  else if (box.right > frame.right - margin) stage.scrollLeft += Math.min(box.right - frame.right + margin, box.left - frame.left)
  if (box.top < frame.top + margin) stage.scrollTop += box.top - frame.top - margin
  else if (box.bottom > frame.bottom - margin) stage.scrollTop += Math.min(box.bottom - frame.bottom + margin, box.top - frame.top)
}
