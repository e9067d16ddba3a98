// A picture of the page as the text of an SVG file, which has no style sheet: how its marks look is written into them.

const LOOKS = [
  "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-weight", "font-style", "font-family",
  "text-anchor", "image-rendering",
]

/** The text of a file that shows what is seen. What only takes a pointer or shows the focus is left out. */
export function svgFile(svg: Element): string {
  const copy = svg.cloneNode(true) as SVGElement
  const marks = svg.querySelectorAll("*")
  copy.querySelectorAll("*").forEach((mark, k) => {
    const seen = marks[k] && getComputedStyle(marks[k])
    if (!seen || mark.closest("style, title, desc")) return
    for (const look of LOOKS) mark.setAttribute(look, seen.getPropertyValue(look))
    // Their width is one of the screen: outside of the page it would be one of cells.
    if (seen.getPropertyValue("vector-effect") === "non-scaling-stroke") mark.setAttribute("vector-effect", "non-scaling-stroke")
    mark.removeAttribute("class")
  })
  copy.removeAttribute("class")
  for (const mark of copy.querySelectorAll("[data-hit]")) mark.remove()
  addCells(copy, svg.parentElement)
  const { width, height } = svg.getBoundingClientRect()
  copy.setAttribute("width", String(Math.round(width)))
  copy.setAttribute("height", String(Math.round(height)))
  copy.style.background = getComputedStyle(svg).getPropertyValue("--paper")
  return new XMLSerializer().serializeToString(copy)
}

/** The cells that lie under a picture: of canvases next to it, placed by their style. */
function addCells(copy: Element, around: Element | null) {
  for (const canvas of [...(around?.querySelectorAll<HTMLCanvasElement>(":scope > canvas[style]") ?? [])].reverse()) {
    const image = document.createElementNS(copy.namespaceURI, "image")
    const { left, top, width, height } = canvas.style
    for (const [name, value] of Object.entries({ x: left, y: top, width, height })) image.setAttribute(name, value.replace("px", ""))
    image.setAttribute("preserveAspectRatio", "none")
    image.setAttribute("style", "image-rendering: pixelated")
    image.setAttribute("href", canvas.toDataURL())
    copy.prepend(image)
  }
}
