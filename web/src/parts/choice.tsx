// Which input of several is shown, and which slice of a volume.

export function InputChoice({ names, input, choose }: { names: string[]; input: string; choose(name: string): void }) {
  if (names.length < 2) return null
  return (
    <div class="buttons" role="group" aria-label="Input">
      {names.map((name) => (
        <button type="button" key={name} aria-pressed={name === input} onClick={() => choose(name)}>
          <bdi>{name}</bdi>
        </button>
      ))}
    </div>
  )
}

export function SliceChoice(props: { count: number; at: number | undefined; disabled?: boolean; choose(slice: number): void }) {
  return (
    <label class="cells-typed">
      slice
      <input
        type="number"
        min={0}
        max={props.count - 1}
        value={props.at}
        disabled={props.disabled}
        onChange={(event) => props.choose(Number(event.currentTarget.value))}
      />
    </label>
  )
}
