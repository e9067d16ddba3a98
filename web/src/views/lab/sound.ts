// The sound of an electrode: clicks, as of a neuron's spikes in a loudspeaker; their rate follows the response.
import { useEffect, useRef, useState } from "../../shared"

const MOST_PER_SECOND = 40
const TICK_MS = 20
const CLICK_S = 0.004

/** Whether there is sound, and what turns it on or off. share: of the largest response, 0 to 1. */
export function useClicks(share: number): [boolean, () => void] {
  const [on, setOn] = useState(false)
  const now = useRef(share)
  now.current = share
  useEffect(() => {
    if (!on) return undefined
    const context = new AudioContext()
    const click = context.createBuffer(1, Math.ceil(CLICK_S * context.sampleRate), context.sampleRate)
    const samples = click.getChannelData(0)
    samples.forEach((_, k) => (samples[k] = (1 - k / samples.length) * (k % 16 < 8 ? 0.4 : -0.4)))
    let due = 0
    const timer = setInterval(() => {
      if (document.hidden) return
      due += (MOST_PER_SECOND * now.current * TICK_MS) / 1000
      if (due < 1) return
      due %= 1
      const source = context.createBufferSource()
      source.buffer = click
      source.connect(context.destination)
      source.start()
    }, TICK_MS)
    return () => {
      clearInterval(timer)
      void context.close()
    }
  }, [on])
  return [on, () => setOn(!on)]
}
