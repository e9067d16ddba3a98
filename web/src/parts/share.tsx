// A share of 1 as a bar. The number next to it says the same to screen readers.

/** color: name of a variable of the theme; without it the style sheet decides. */
export const ShareBar = ({ share, color }: { share: number; color?: string }) => (
  <span class="share" aria-hidden="true">
    <span style={{ width: `${100 * share}%`, background: color && `var(--${color})` }} />
  </span>
)
