// Buttons that copy a text. Where the clipboard is refused, as in some saved pages, the text is shown, selected.
import { useEffect, useRef, useState } from "preact/hooks"

/** items: a text for each label. */
export function CopyButtons({ items }: { items: Record<string, () => string> }) {
  const [said, setSaid] = useState("")
  const [shown, setShown] = useState("")
  const area = useRef<HTMLTextAreaElement>(null)
  useEffect(() => area.current?.select(), [shown])
  const copy = async (label: string, text: string) => {
    try {
      await navigator.clipboard.writeText(text)
      setShown("")
      setSaid(`${label} copied`)
    } catch {
      setShown(text)
      setSaid("The browser does not let the page copy: the text is selected.")
    }
  }
  return (
    <div class="copy">
      <div class="bar" role="group" aria-label="Copy">
        {Object.entries(items).map(([label, text]) => (
          <button type="button" key={label} onClick={() => void copy(label, text())}>
            Copy {label}
          </button>
        ))}
        <span role="status">{said}</span>
      </div>
      {shown && <textarea ref={area} readOnly rows={3} aria-label="Text to copy" value={shown} />}
    </div>
  )
}
