// The record that the page reads. `make docs` writes this file from striate/views/schemas/.

/** Inside the page of `striate report`, in a script element of type `application/json` */
export interface LivePage {
  /** `striate.page/1` */
  schema: string
  /** version of Striate */
  version: string
  /** the lines of the course in their order */
  course: CourseLine[]
  /** color maps, low to high: `counts`, `signed`, `gray` */
  palettes: Record<string, string[]>
  /** `striate.show/1` of the network */
  show: Show
  /** pictures of the network; a report has them in the page instead */
  pictures?: PagePicture[]
}

/** A statement of the course and the view that shows it. */
export interface CourseLine {
  /** a few words */
  title: string
  /** the statement */
  text: string
  /** fragment of the address that opens it, `#layer?n=7&f=3` */
  route: string
}

/** `striate show MODEL --json`: the record that every view draws. */
export interface Show {
  /** `striate.show/1` */
  schema: string
  /** the network's name */
  name: string
  /** shape of the (first) input */
  input: number[]
  /** shape of each input */
  inputs: Record<string, number[]>
  nodes: ShownNode[]
  totals: Totals
  /** how MACs are counted */
  convention: string
  /** outputs of the network */
  outputs: string[]
  findings: Finding[]
  /** like `findings`: nodes without an output */
  problems: Finding[]
  /** nodes after them, which are not analyzed */
  unreached: string[]
}

export interface ShownNode {
  /** the node */
  name: string
  /** its op's word */
  op: string
  /** the op in notation, every attribute that is not a default */
  text: string
  /** values that it reads */
  inputs: string[]
  /** shape of its first output */
  output: number[]
  /** shape of each output */
  outputs: number[][]
  /** the same as papers write it, height x width x channels */
  sizes: string[]
  /** one filter of a convolution, `[depth, height, width]` */
  filter: number[] | null
  /** learned numbers */
  params: number
  /** multiply-accumulates under `convention` */
  macs: number
  /** those of `params`, `macs` and `memory` that are not known of an opaque node */
  unknown: string[]
  /** the node whose parameters it uses, or parameter to full name; empty for none */
  shares: string | Record<string, string>
  /** names of its parameters that are constants: neither counted nor trained */
  fixed: string[]
  /** names of its parameters that count but are not trained */
  frozen: string[]
  window: Record<string, WindowAxis>
  receptive_field: Record<string, FieldAxis>
  /** of several inputs: its field on each that leads to it */
  receptive_fields?: Record<string, Record<string, FieldAxis>>
  /** whether the merged branches are centered on the same positions */
  aligned: boolean
  /** bytes of its outputs */
  activation_bytes: number
}

export interface WindowAxis {
  /** taps of the window; an op without a window has an empty `window` */
  kernel: number
  /** step between windows */
  stride: number
  /** step between taps */
  dilation: number
  /** padding before and after, policies resolved */
  pad: number[]
  /** output size */
  output: number
  /** positions that the stride leaves over */
  remainder: number
  /** real positions after the last window */
  lost: number
  /** padded positions that no window reads */
  wasted_padding: number
  /** positions past the padded end under ceil mode */
  overhang: number
  /** the size formula with its numbers */
  formula: string
  /** true for a transposed convolution */
  transposed?: boolean
}

export interface FieldAxis {
  /** input pixels that a unit reads */
  size: number
  /** input pixels between neighboring units */
  jump: number
  /** first input coordinate of unit 0's field */
  start: number
}

export interface Totals {
  /** sum over the nodes */
  params: number
  /** sum over the nodes */
  macs: number
  /** sum over the nodes */
  activation_bytes: number
  /** most bytes alive at once in inference */
  peak_bytes: number
  /** the same in a training step */
  training_peak_bytes: number
  unknown: UnknownTotals
}

export interface UnknownTotals {
  /** nodes with an unknown number of parameters; with any, the total is a lower bound */
  params: string[]
  /** the same for multiply-accumulates */
  macs: string[]
  /** the same for activations */
  memory: string[]
}

/** What `Diagnostic.to_dict` gives. */
export interface Finding {
  /** rule */
  code: string
  /** the rule's name */
  name: string
  /** `error`, `warning` or `info` */
  severity: string
  /** node; null: the whole network */
  node: string | null
  /** node, op and input */
  where: string
  /** the numbers */
  why: string
  /** what */
  message: string
  /** changes that fix it, as in `striate.show/1` */
  fixes: Fix[]
}

export interface Fix {
  /** a change that fixes it */
  text: string
  /** whether all sizes, weight shapes, windows and padding modes stay; `--fix` makes these */
  safe: boolean
  /** node to change */
  node: string | null
  /** op fields to replace on it */
  change: Record<string, unknown>
  /** or the network's new input, `[C, H, W]` */
  input: number[] | null
  /** computed consequences: output sizes, receptive field, MACs */
  consequences: Record<string, unknown>
}

/** A picture of the network, laid out and drawn by Python. */
export interface PagePicture {
  /** kind of the picture */
  kind: string
  /** what it shows */
  caption: string
  /** the SVG element; a group with `data-node` holds what stands for a node */
  svg: string
}
