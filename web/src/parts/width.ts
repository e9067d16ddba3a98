// The width of an element in pixels, so that what is drawn in it keeps its sizes.
import type { RefObject } from "preact"
import { useLayoutEffect, useRef, useState } from "preact/hooks"

export function useWidth<E extends HTMLElement>(start = 600): [RefObject<E | null>, number] {
  const element = useRef<E>(null)
  const [width, setWidth] = useState(start)
  useLayoutEffect(() => {
    const target = element.current
    if (!target) return
    const measure = () => setWidth(Math.max(1, Math.floor(target.clientWidth)))
    measure()
    const observer = new ResizeObserver(measure)
    observer.observe(target)
    return () => observer.disconnect()
  }, [])
  return [element, width]
}
