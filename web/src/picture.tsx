// A picture that Python has drawn: zoom by buttons, wheel with Ctrl and pinch; pan by scrolling.
import type { ComponentChildren, HTMLAttributes, JSX } from "preact"
import { useEffect, useLayoutEffect, useRef } from "preact/hooks"

const MIN_ZOOM = 0.2
const MAX_ZOOM = 6
/** The smallest text of a picture, 10.5 px, is then 12. */
export const READABLE = 1.15

/** The SVG element that a text holds; null if it holds none. It comes from striate/views/drawing/svg.py alone. */
export function parseSvg(svg: string): SVGSVGElement | null {
  const root = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement
  if (root.localName !== "svg" || root.querySelector("script, foreignObject")) return null
  return document.importNode(root, true) as Element as SVGSVGElement
}

export interface PictureProps {
  svg: string
  label: string
  zoom: number
  onZoom(zoom: number): void
  /** Called with the element when it has been put in. */
  onReady?(svg: SVGSVGElement): void
  /** Attributes of what scrolls, which is the tab stop. */
  stage?: HTMLAttributes<HTMLDivElement>
}

const clampZoom = (zoom: number): number => Math.min(Math.max(zoom, MIN_ZOOM), MAX_ZOOM)

export function Picture({ svg, label, zoom, onZoom, onReady, stage }: PictureProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const drawn = useRef<SVGSVGElement | null>(null)
  const now = useRef({ zoom, onZoom })
  now.current = { zoom, onZoom }
  useLayoutEffect(() => {
    const element = parseSvg(svg)
    drawn.current = element
    if (!element || !box.current) return
    element.setAttribute("data-picture", "")
    element.removeAttribute("role")
    element.setAttribute("aria-hidden", "true")
    box.current.replaceChildren(element)
    resize(element, zoom)
    onReady?.(element)
    // A picture that is nearly as wide as the page, but not legible at its own size, takes the whole width.
    const fit = (box.current.clientWidth - 2) / element.viewBox.baseVal.width
    if (fit >= 1 && fit < READABLE) onZoom(fit)
  }, [svg])
  useLayoutEffect(() => {
    if (drawn.current) resize(drawn.current, zoom)
  }, [zoom, svg])
  useEffect(() => {
    const element = box.current
    if (!element) return
    /** Zoom so that what is under a point stays there. */
    const zoomAt = (to: number, x: number, y: number) => {
      const from = now.current.zoom
      const next = clampZoom(to)
      if (next === from) return
      const frame = element.getBoundingClientRect()
      const [dx, dy] = [x - frame.left, y - frame.top]
      const [left, top] = [element.scrollLeft + dx, element.scrollTop + dy]
      if (drawn.current) resize(drawn.current, next)
      element.scrollTo((left * next) / from - dx, (top * next) / from - dy)
      now.current.zoom = next
      now.current.onZoom(next)
    }
    const wheel = (event: WheelEvent) => {
      if (!event.ctrlKey && !event.metaKey) return
      event.preventDefault()
      zoomAt(now.current.zoom * Math.exp(-event.deltaY / 300), event.clientX, event.clientY)
    }
    let apart = 0
    const touch = (event: TouchEvent) => {
      const [one, other] = event.touches
      if (!one || !other) {
        apart = 0
        return
      }
      event.preventDefault()
      const distance = Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY)
      if (apart)
        zoomAt((now.current.zoom * distance) / apart, (one.clientX + other.clientX) / 2, (one.clientY + other.clientY) / 2)
      apart = distance
    }
    const release = () => (apart = 0)
    element.addEventListener("wheel", wheel, { passive: false })
    element.addEventListener("touchstart", touch, { passive: false })
    element.addEventListener("touchmove", touch, { passive: false })
    element.addEventListener("touchend", release)
    return () => {
      element.removeEventListener("wheel", wheel)
      element.removeEventListener("touchstart", touch)
      element.removeEventListener("touchmove", touch)
      element.removeEventListener("touchend", release)
    }
  }, [])
  const fit = () => {
    const element = drawn.current
    if (element && box.current) onZoom(clampZoom(box.current.clientWidth / element.viewBox.baseVal.width))
  }
  return (
    <div class="picture">
      <div class="buttons" role="group" aria-label="Zoom">
        <button type="button" onClick={() => onZoom(clampZoom(zoom / 1.25))} aria-label="Smaller">
          −
        </button>
        <output class="zoom">{Math.round(zoom * 100)} %</output>
        <button type="button" onClick={() => onZoom(clampZoom(zoom * 1.25))} aria-label="Larger">
          +
        </button>
        <button type="button" onClick={fit}>
          Fit width
        </button>
      </div>
      <div class="stage" ref={box} tabIndex={0} role="group" aria-label={label} {...stage} />
    </div>
  )
}

function resize(svg: SVGSVGElement, zoom: number) {
  const { width, height } = svg.viewBox.baseVal
  svg.setAttribute("width", String(width * zoom))
  svg.setAttribute("height", String(height * zoom))
}

/** What may be wider than the page: it scrolls by itself, also with keys. */
export const Scroll = ({ label, children }: { label: string; children: ComponentChildren }): JSX.Element => (
  <div class="scroll" tabIndex={0} role="group" aria-label={label}>
    {children}
  </div>
)
