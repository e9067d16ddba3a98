// Objects of a record that are kept by name: a layer may be called `constructor`, and an address may name anything.

/** The same value, whose objects have their own keys and nothing else. Lists hold one kind of value. */
export function bare<T>(value: T): T {
  if (Array.isArray(value)) {
    if (typeof value[0] === "object") value.forEach(bare)
  } else if (value && typeof value === "object" && Object.getPrototypeOf(value) !== null) {
    Object.setPrototypeOf(value, null)
    Object.values(value).forEach(bare)
  }
  return value
}
