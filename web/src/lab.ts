// What `striate lab` answers where the page does not compute itself.

/** Body of POST activations: an image in the network's size, and the nodes whose values are asked for. */
export interface ActivationsRequest {
  /** base64 of bytes, height x width x channels */
  pixels: string
  height: number
  width: number
  channels: number
  nodes: string[]
}

/** An array: shape without the batch axis, and base64 of float32 numbers, little-endian. */
export interface LabArray {
  shape: number[]
  data: string
}

export interface ActivationsAnswer {
  /** The network's outputs by name. */
  outputs: Record<string, LabArray>
  /** One for each of the record's `drawing.classes`. */
  probabilities: number[]
  /** First output of each node that was asked for. */
  maps: Record<string, LabArray>
}
