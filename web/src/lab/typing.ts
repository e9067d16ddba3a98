// Changes of the editor's text by the page, which the browser's undo takes back.

/** The part that differs: where it begins, where it ends in the old text, and what stands there in the new one. */
export function difference(before: string, after: string): { start: number; end: number; text: string } {
  let start = 0
  while (start < before.length && start < after.length && before[start] === after[start]) start++
  let tail = 0
  while (tail < Math.min(before.length, after.length) - start && before.at(-1 - tail) === after.at(-1 - tail)) tail++
  return { start, end: before.length - tail, text: after.slice(start, after.length - tail) }
}

/** Write a text as if it had been typed, where the browser can; it fires `input`. */
export function type(area: HTMLTextAreaElement, after: string): void {
  const { start, end, text } = difference(area.value, after)
  if (start === end && !text) return
  area.focus()
  area.setSelectionRange(start, end)
  // The one way to change a text and keep its history, in every browser.
  const typed = text ? document.execCommand("insertText", false, text) : document.execCommand("delete")
  if (!typed || area.value !== after) {
    area.value = after
    area.dispatchEvent(new Event("input", { bubbles: true }))
  }
}
