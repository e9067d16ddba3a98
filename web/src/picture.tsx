// A picture that Python has drawn: zoom by buttons, wheel with Ctrl and pinch; pan by scrolling.
import type { ComponentChildren, HTMLAttributes, JSX } from "preact"
import { useEffect, useLayoutEffect, useRef } from "preact/hooks"

const LEAST = 0.2
const MOST = 6
/** The smallest text of a picture, 10.5 px, is then 12. */
export const READABLE = 1.15

/** The SVG element that a text holds; null if it holds none. It comes from striate/views/drawing/svg.py alone. */
export function parsed(svg: string): SVGSVGElement | null {
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

export const bounded = (zoom: number): number => Math.min(Math.max(zoom, LEAST), MOST)

export function Picture({ svg, label, zoom, onZoom, onReady, stage }: PictureProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const drawn = useRef<SVGSVGElement | null>(null)
  const now = useRef({ zoom, onZoom })
  now.current = { zoom, onZoom }
  useLayoutEffect(() => {
    const element = parsed(svg)
    drawn.current = element
    if (!element || !box.current) return
    element.setAttribute("data-picture", "")
    element.removeAttribute("role")
    element.setAttribute("aria-hidden", "true")
    box.current.replaceChildren(element)
    sized(element, zoom)
    onReady?.(element)
  }, [svg])
  useLayoutEffect(() => {
    if (drawn.current) sized(drawn.current, zoom)
  }, [zoom, svg])
  useEffect(() => {
    const element = box.current
    if (!element) return
    /** Zoom so that what is under a point stays there. */
    const scaled = (to: number, x: number, y: number) => {
      const from = now.current.zoom
      const next = bounded(to)
      if (next === from) return
      const frame = element.getBoundingClientRect()
      const [dx, dy] = [x - frame.left, y - frame.top]
      const [left, top] = [element.scrollLeft + dx, element.scrollTop + dy]
      if (drawn.current) sized(drawn.current, next)
      element.scrollTo((left * next) / from - dx, (top * next) / from - dy)
      now.current.zoom = next
      now.current.onZoom(next)
    }
    const wheel = (event: WheelEvent) => {
      if (!event.ctrlKey && !event.metaKey) return
      event.preventDefault()
      scaled(now.current.zoom * Math.exp(-event.deltaY / 300), event.clientX, event.clientY)
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
        scaled((now.current.zoom * distance) / apart, (one.clientX + other.clientX) / 2, (one.clientY + other.clientY) / 2)
      apart = distance
    }
    const lifted = () => (apart = 0)
    element.addEventListener("wheel", wheel, { passive: false })
    element.addEventListener("touchstart", touch, { passive: false })
    element.addEventListener("touchmove", touch, { passive: false })
    element.addEventListener("touchend", lifted)
    return () => {
      element.removeEventListener("wheel", wheel)
      element.removeEventListener("touchstart", touch)
      element.removeEventListener("touchmove", touch)
      element.removeEventListener("touchend", lifted)
    }
  }, [])
  const fit = () => {
    const element = drawn.current
    if (element && box.current) onZoom(bounded(box.current.clientWidth / element.viewBox.baseVal.width))
  }
  return (
    <div class="picture">
      <div class="buttons" role="group" aria-label="Zoom">
        <button type="button" onClick={() => onZoom(bounded(zoom / 1.25))} aria-label="Smaller">
          −
        </button>
        <output class="zoom">{Math.round(zoom * 100)} %</output>
        <button type="button" onClick={() => onZoom(bounded(zoom * 1.25))} aria-label="Larger">
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

function sized(svg: SVGSVGElement, zoom: number) {
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
