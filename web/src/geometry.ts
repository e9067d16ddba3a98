// The arithmetic of one window along one axis. Equal to striate/geometry on generated layers (tests/browser/test_geometry.py).

/** One axis of a layer: input size, kernel, stride, padding before and after, dilation. */
export interface Axis {
  input: number
  kernel: number
  stride: number
  before: number
  after: number
  dilation: number
}

/** Size that the window spans with its dilation. */
export const span = ({ kernel, dilation }: Axis): number => dilation * (kernel - 1) + 1

/** Padded input minus the window's span: negative if the window does not fit. */
export const room = (axis: Axis): number => axis.input + axis.before + axis.after - span(axis)

/** Whole positions of the window, 0 if it does not fit. */
export const outputs = (axis: Axis): number => (room(axis) < 0 ? 0 : Math.floor(room(axis) / axis.stride) + 1)

/** Positions that the stride leaves over, 0 if all fits. */
export const remainder = (axis: Axis): number => (room(axis) < 0 ? 0 : room(axis) % axis.stride)
