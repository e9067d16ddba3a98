// The width of an element in pixels, so that what is drawn in it keeps its sizes.

import type { RefObject } from "preact"
import { useLayoutEffect, useRef, useState } from "preact/hooks"

/** The least width: an element that is not laid out yet has none. */
const MIN_WIDTH = 200

export function useWidth<E extends HTMLElement>(start = 600): [RefObject<E | null>, number] {
  const element = useRef<E>(null)
  const [width, setWidth] = useState(start)
  useLayoutEffect(() => {
    const target = element.current
    if (!target) return
    const measure = () => setWidth(Math.max(MIN_WIDTH, target.clientWidth))
    measure()
    const observer = new ResizeObserver(measure)
    observer.observe(target)
    return () => observer.disconnect()
  }, [])
  return [element, width]
}
