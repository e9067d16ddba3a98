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
  /** what views need besides */
  network?: LiveNetwork
  history?: LiveHistory
  /** pictures of the network; a report has them in the page instead */
  pictures?: PagePicture[]
  /** the training run whose network it is */
  run?: PageRun
  /** what an image for the network is; absent if it takes no single image */
  drawing?: Drawing
  /** the network with its weights, if the page can run it */
  model?: PageModel
  /** otherwise: why it cannot */
  no_model?: string
  /** with a model: its screen, and where an electrode can be */
  experiment?: HandExperiment
  /** instead of a model: maps of one image of the run's data */
  eight_bit?: EightBitMaps
}

/** A statement of the course and the view that shows it. */
export interface CourseLine {
  /** a few words */
  title: string
  /** the statement */
  text: string
  /** fragment of the address that opens it, `#layer?n=7&f=3` */
  route: string
  /** more of it to open */
  examples: CourseExample[]
}

/** Numbers of the course, and the view that shows them. */
export interface CourseExample {
  /** a few words */
  text: string
  /** fragment of the address that opens it */
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

/** What views need that striate.show/1 does not say. */
export interface LiveNetwork {
  /** kind of picture to what its groups stand for */
  parts: Record<string, PicturePart[]>
  /** node, input, axis */
  fields: Record<string, Record<string, Record<string, UnitField>>>
  pixels: LivePixels
  comparison: LiveComparison
}

/** What one group of a picture stands for: a node with the functions after it, a module, or repeats. */
export interface PicturePart {
  /** `data-node` of its group */
  key: string
  /** what it is called */
  names: string
  /** what it does, in one line */
  label: string
  /** its nodes, as positions in `show.nodes`; empty: it has no output */
  nodes: number[]
  /** keys of the parts and names of the inputs that it reads */
  reads: string[]
  /** how often in a row the same is done */
  times: number
}

/** How units of a node see one axis of an input, where `receptive_field` does not tell it exactly. */
export interface UnitField {
  /** the node's axis whose units differ along it; empty for none */
  axis: string
  /** first and last coordinate of the first units; empty where there are too many to list */
  spans: number[][]
  /** input pixels from these units to as many that follow */
  step: number
}

/** Maps of pixel use. */
export interface LivePixels {
  /** node or outputs to which paths are counted */
  to: string
  /** the network's own map, then one for each padding mode */
  inputs: Record<string, PixelCounts[]>
  /** why there is no map; else empty */
  missing: string
}

/** Paths from the pixels of one input to the output. Numbers of any length are texts of digits. */
export interface PixelCounts {
  /** padding given to every convolution; empty: the network's own */
  mode: string
  /** why there is no map; then there is nothing else */
  problem?: string
  /** shape of what paths are counted to */
  output?: number[]
  /** axes of the map */
  axes?: string[]
  /** its sizes */
  shape?: number[]
  /** how many pixels */
  pixels?: string
  /** pixels without a path */
  unread?: string
  /** paths from the first pixel of every axis */
  corner?: string
  /** paths from the center pixel */
  center?: string
  /** paths from the most used pixel */
  most?: string
  /** null if the center has no path */
  corner_to_center?: number | null
  /** mean of the outermost pixels over the center */
  border_to_center?: number | null
  /** whether every pixel is used equally often */
  uniform?: boolean
  /** different vectors, each its numbers with spaces between; empty: too long */
  vectors?: string[]
  /** the map is a sum of outer products: of each, positions in `vectors`, one for each axis */
  terms?: number[][]
  /** where `vectors` is empty: means over blocks of the (middle) plane, 0 to 255 of `most`; null: never read */
  levels?: ((number | null)[])[]
}

/** The network at its own input size, A, and at another, B. */
export interface LiveComparison {
  /** why there is none; then there is nothing else */
  missing: string
  /** why this size */
  why?: string
  /** `striate.diff/1` without the keys `window` and `activation_bytes` of a node */
  diff?: Diff
  /** both networks next to each other, differences marked */
  svg?: string
}

/** `striate diff A B --json` */
export interface Diff {
  /** `striate.diff/1` */
  schema: string
  a: DiffSide
  /** the same */
  b: DiffSide
  changed: ChangedNode[]
  removed: LoneNode[]
  /** the same for nodes only in B */
  added: LoneNode[]
  /** nodes that are equal in both */
  unchanged: number
  /** findings only in A, as in `striate.show/1` */
  gone: Finding[]
  /** findings only in B */
  come: Finding[]
}

export interface DiffSide {
  /** the first network (`b`: the second, with the same keys) */
  name: string
  /** shape of each input */
  inputs: Record<string, number[]>
  /** as in `striate.show/1` */
  totals: Totals
  /** how MACs are counted */
  convention: string
  /** number of nodes with an output */
  nodes: number
}

export interface ChangedNode {
  /** the node's name in A */
  a: string
  /** and in B */
  b: string
  /** key of `striate.show/1` (`field`: receptive field) to `[before, after]` */
  facts: Record<string, unknown>
}

export interface LoneNode {
  /** node only in A */
  name: string
  /** its op */
  text: string
  /** its outputs */
  sizes: string[]
  /** its parameters */
  params: number
  /** its MACs */
  macs: number
}

/** The catalogue as a timeline. */
export interface LiveHistory {
  /** oldest first */
  families: HistoryFamily[]
  /** base64 of an object, compressed by zlib: name of an entry to its picture as SVG */
  pictures: string
}

/** A family of the catalogue. */
export interface HistoryFamily {
  name: string
  /** of its paper */
  year: number
  /** authors, title, venue */
  paper: string
  /** where to read it */
  url: string
  /** what was new */
  new: string
  models: HistoryModel[]
  /** the entry that is drawn */
  shown: string
}

/** An entry of the catalogue. */
export interface HistoryModel {
  name: string
  /** as published, null if not published */
  params: number | null
  /** 1e9 MACs at `input`, as published */
  gmacs: number | null
  /** its own input */
  input: number[]
  note: string
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

/** A training run, finished or not. */
export interface PageRun {
  /** name of its folder */
  name: string
  /** how it was trained: label and text */
  facts: string[][]
  /** its epochs, as in the picture `training`; null before the first one ends */
  curves: RunCurves | null
  /** `striate.eval/1` of its weights on its validation data; null if it has none */
  evaluation: Evaluation | null
  /** why curves or evaluation are not there */
  missing: string[]
  /** pictures of the evaluation's worst images, in their order */
  worst: WorstPicture[]
}

export interface RunCurves {
  /** of the run: the last parts of its folder */
  name: string
  /** numbers of the epochs, from 1 */
  epochs: number[]
  /** a number for each epoch: `lr`, `train_loss`, `validation_loss`, `train_accuracy`, `validation_accuracy`, where the run has them; null: not finite */
  measures: Record<string, (number | null)[]>
  /** epoch with the best weights on the validation data */
  best_epoch: number | null
  /** its measures */
  best: Record<string, number>
  /** reason for the end: `done`, `early stop`, `unfinished` */
  stopped: string
  /** epochs in which the run was continued after a stop */
  resumed: number[]
  /** epochs that were asked for; 0 if unknown */
  planned: number
  /** time of all epochs */
  seconds: number
}

/** `striate eval RUN --json`; `validation` in a run's `report.json`, without the first three keys. */
export interface Evaluation {
  /** `striate.eval/1` */
  schema: string
  /** the run folder */
  model: string
  /** description of the images */
  data: string
  /** number of images */
  images: number
  /** mean loss */
  loss: number
  /** share of correct predictions */
  accuracy: number
  /** share with the true class among the top five */
  top5_accuracy: number
  /** mean F1 of the classes that have images */
  macro_f1: number
  /** classes, in the order of the matrix */
  classes: string[]
  /** rows: true class; columns: predicted class */
  confusion_matrix: number[][]
  per_class: ClassScore[]
  calibration: Calibration
  worst: WorstImage[]
  /** time */
  seconds: number
  /** adaptations and skipped images */
  notes: string[]
  /** in a run folder alone: epoch whose weights were evaluated */
  epoch?: number
}

export interface ClassScore {
  /** the class */
  name: string
  /** precision: share of its predictions that are right */
  precision: number
  /** recall: share of its images that are predicted right */
  recall: number
  /** F1: harmonic mean of the two */
  f1: number
  /** its images */
  images: number
  /** predictions of this class */
  predicted: number
}

export interface Calibration {
  /** mean gap between confidence and accuracy */
  expected_calibration_error: number
  bins: ConfidenceBin[]
}

export interface ConfidenceBin {
  /** lower end of the bin */
  low: number
  /** upper end of the bin */
  high: number
  /** predictions in the bin */
  images: number
  /** their mean confidence */
  confidence: number
  /** share of them that are right */
  accuracy: number
}

export interface WorstImage {
  /** index in the data */
  id: number
  /** the image */
  name: string
  /** true class */
  label: string
  /** predicted class */
  predicted: string
  /** probability of the predicted class */
  confidence: number
  /** its loss, largest first */
  loss: number
}

export interface WorstPicture {
  /** the image as data; empty if it is missing */
  uri: string
  /** pixels at which it is shown */
  width: number
  /** the same */
  height: number
  /** what was changed to show it, or why it is missing */
  note: string
}

/** What an image for the network is, and what its answers are called. */
export interface Drawing {
  /** height, width and channels of its pixels */
  image: number[]
  /** whether one draws in light on a dark ground, as the images of the training were */
  dark: boolean
  /** names of the classes, `0`, `1`, … where none are recorded; empty if it has none */
  classes: string[]
  /** false: the weights are fresh random numbers */
  trained: boolean
  /** of a run whose weights before training can be shown: which they are */
  before?: string
  /** of another run: why they cannot */
  no_before?: string
  /** images to try */
  samples: SampleImage[]
}

/** An image of the run's data, in the network's size. */
export interface SampleImage {
  /** of the image */
  name: string
  /** its class */
  label: string
  /** base64 of bytes, height x width x channels */
  pixels: string
}

/** A network small enough to run inside the page, with its weights. */
export interface PageModel {
  /** shape of the input by its name, batch axis first */
  inputs: Record<string, number[]>
  /** height, width and channels of the pixels that the steps take */
  image: number[]
  /** what makes pixels into the input; without any, pixels are divided by 255 */
  steps: ImageStep[]
  /** in the order of computation */
  nodes: PageNode[]
  tables: Table[]
  /** by full name */
  weights: Record<string, PageWeight>
  /** those before training, without the ones that it left as they were */
  before?: Record<string, PageWeight>
  /** outputs of the network */
  outputs: string[]
  answer: Answer
}

/** A step from pixels to the network's input; pixels are whole numbers from 0 to 255, or from 0 to 1 after it. */
export interface ImageStep {
  /** `channels` or `normalize` */
  step: string
  /** `channels`: how many come out */
  count?: number
  /** `normalize`: one per channel */
  mean?: number[]
  /** `normalize`: one per channel */
  std?: number[]
}

/** A node as the page's engine runs it. */
export interface PageNode {
  /** the node */
  name: string
  /** its op's word */
  op: string
  /** values that it reads */
  inputs: string[]
  /** values that it computes */
  outputs: string[]
  /** shape of each output, batch axis first */
  shapes: number[][]
  /** parameter to full name */
  weights: Record<string, string>
  statements: PageStatement[]
}

/** One statement of an op: for all values of the variables, combine a value into the target. */
export interface PageStatement {
  /** output `y0`, or temporary `t0` */
  target: string
  /** shape of the target, batch axis first */
  shape: number[]
  /** where it is written */
  at: Place[]
  /** what is computed */
  value: Instruction[]
  /** `sum`, `max`, or empty: the value is written */
  reduce: string
  /** value before the first step of a reduction */
  start?: Instruction[]
  /** variables of the target and their ranges */
  free: Record<string, number>
  /** variables to reduce over and their ranges */
  reduced: Record<string, number>
}

/** Position along one axis: `(sum of terms + offset) // divisor`, then `% modulus`; or looked up in a table. */
export interface Place {
  /** factor of each variable */
  terms?: Record<string, number>
  /** 0 if it is left out */
  offset?: number
  /** 1 if it is left out */
  divisor?: number
  /** none if it is left out */
  modulus?: number
  /** number of a table of positions, -1 where nothing is read */
  table?: number
  /** variable of the table's rows */
  out?: string
  /** variable of its columns; without it the first column */
  tap?: string
}

/** One instruction of an expression in reverse Polish notation: a number, a read, a look-up or a call. */
export interface Instruction {
  /** a number, or `Infinity`, `-Infinity`, `NaN` */
  number?: number | string
  /** tensor: an input `x0`, a temporary `t0`, a parameter by its own name */
  read?: string
  /** where it is read, one place for each axis */
  at?: Place[]
  /** value beyond the tensor's borders; 0 if it is left out */
  outside?: number | string
  /** number of a table of values */
  table?: number
  /** variable of its rows */
  out?: string
  /** variable of its columns; without it the first column */
  tap?: string
  /** function of the values before it */
  call?: string
  /** how many of them */
  takes?: number
}

/** Numbers by an output position and a tap along one axis. */
export interface Table {
  /** taps */
  columns: number
  /** row by row */
  values: number[]
}

/** A learned array. */
export interface PageWeight {
  shape: number[]
  /** base64 of float32, little-endian, row-major */
  data: string
}

/** What makes the first output into probabilities of the classes. */
export interface Answer {
  /** `log` or `logit`, the inverse of the network's last op; empty if it is to stay */
  undo: string
  /** loss whose probabilities follow; empty if the network does not classify */
  loss: string
}

/** What the page needs to show stimuli to the network that it holds. */
export interface HandExperiment {
  screen: HandScreen
  /** those that can be probed */
  nodes: HandNode[]
}

/** The network's input as a screen. */
export interface HandScreen {
  /** pixels */
  height: number
  /** pixels */
  width: number
  /** the gray background, a number for each channel */
  gray: number[]
  /** axis of color to the amplitude of a pattern of 1 in each channel */
  colors: Record<string, number[]>
}

/** A node that can be probed. */
export interface HandNode {
  /** the node */
  node: string
  /** what is read: the node, or the activation after it */
  value: string
  /** channels */
  units: number
  /** height and width of its map */
  map: number[]
  /** `center`, `edge`, `corner`, and those asked for as `row.column` */
  places: Record<string, HandPlace>
}

/** A place at which an electrode can be. */
export interface HandPlace {
  /** row and column of the unit in the map */
  position: number[]
  /** what it sees of the image */
  field: Extent
  /** whether the whole field lies inside the image */
  inside: boolean
  /** whether pixels outside of the field change the response */
  surround: boolean
}

export interface Extent {
  /** first and last row of the input that the unit sees */
  h: number[]
  /** first and last column */
  w: number[]
}

/** One image in a network that is too large for the page. */
export interface EightBitMaps {
  sample: SampleImage
  /** probabilities of the classes; empty if the network does not classify */
  shares: number[]
  /** some nodes by name */
  maps: Record<string, EightBitMap>
}

/** Output of a node in 8 bits. */
export interface EightBitMap {
  /** of what is kept, channels first */
  shape: number[]
  /** of the node; the first ones are kept */
  channels: number
  /** number of level 0 */
  low: number
  /** number of level 255 */
  high: number
  /** base64 of the levels */
  data: string
}

/** Answer to `record`: a network, checked. */
export interface LabRecord {
  /** without what `pictures` and `views` answer, and what is the same for all networks */
  page: LivePage
  /** the network as the editor shows it; empty if it has no text */
  text: string
  /** how the text is written */
  form: "notation" | "toml" | ""
  /** whether it has the weights of the model that the page was opened with */
  trained: boolean
}

/** Answer to `pictures`. */
export interface LabPictures {
  /** one for each kind asked for */
  pictures: PagePicture[]
}

/** Answer to `views`. */
export interface LabViews {
  /** the key `network` of `striate.page/1` */
  network: LiveNetwork
}

/** Answer to `fix`. */
export interface LabFixed {
  /** the network's text with the fix */
  text: string
  /** the input size with the fix; empty if the text says it */
  input: string
}

/** Answer to `compare`. */
export interface LabComparison {
  /** what changed from A to B */
  diff: Diff
  /** both networks next to each other, differences marked */
  svg: string
}

/** Answer to `activations`: exact values that Python's engine computed for one image. */
export interface LabActivations {
  /** the image as the network reads it */
  input: LabArray
  /** output of each node asked for */
  values: Record<string, LabArray>
  /** the network's outputs */
  outputs: LabArray[]
  /** of the classes; null if the outputs are no classes */
  probabilities: number[] | null
  /** names of the classes; empty if they have none */
  classes: string[]
  /** the model's transformation in words */
  transform: string
  /** whether the weights are those of the model; otherwise fresh, seed 0 */
  trained: boolean
}

/** An array of the engine. */
export interface LabArray {
  /** without the batch axis, channels first */
  shape: number[]
  /** base64 of its float32 numbers, little-endian */
  values: string
}

/** Answer to `electrode`: what an electrode in a node reads, and where it can be. */
export interface LabElectrode {
  screen: HandScreen
  node: HandNode
  /** whether the weights are those of the model; otherwise fresh, seed 0 */
  trained: boolean
}

/** Answer to `respond`: responses of one unit to stimuli that are shown by hand. */
export interface LabResponses {
  /** to the gray screen */
  blank: number
  /** to each stimulus */
  responses: number[]
}

/** `striate probe MODEL --node NAME --json` */
export interface Probe {
  /** `striate.probe/1` */
  schema: string
  /** the network's name */
  network: string
  /** the node */
  node: string
  /** what was read: the node, or the activation after it */
  value: string
  /** `as given`, or `untrained, seed 0` */
  weights: string
  /** row and column of the unit in the map */
  position: number[]
  field: Extent
  /** whether the whole field lies inside the image */
  inside: boolean
  /** whether pixels outside of the field change the response */
  surround: boolean
  /** `cv` of the most selective linear filter of this size; null for a large field */
  cv_limit: number | null
  /** axes of color that were shown */
  colors: string[]
  /** of the gratings' bars */
  orientations_deg: number[]
  /** of the gratings, cycles per pixel */
  frequencies_cpp: number[]
  phases_deg: number[]
  /** diameters of apertures; the last shows the whole field */
  sizes_px: number[]
  /** share of the largest amplitude */
  contrast: number
  /** number of images */
  shown: number
  /** what has to be known about the conditions */
  notes: string[]
  /** one for each channel, or the one of `--unit` */
  units: ProbedUnit[]
}

export interface ProbedUnit {
  /** channel */
  unit: number
  /** `simple`, `complex` or `none` */
  type: string
  /** axis of color of the measures: `luminance`, `red-green` or `blue-yellow` */
  color: string | null
  /** preferred orientation of the bar; 0 horizontal, 90 vertical */
  orientation_deg: number | null
  /** orientation of the strongest grating */
  best_orientation_deg: number | null
  /** circular variance: 0 for one orientation, 1 for all alike */
  cv: number | null
  /** two-point selectivity index */
  osi: number | null
  /** half width at 1/√2 of the peak */
  bandwidth_deg: number | null
  /** preferred spatial frequency, cycles per pixel */
  frequency_cpp: number | null
  /** its full width at half height */
  bandwidth_octaves: number | null
  /** mean response to the best grating over the phases */
  f0: number | null
  /** amplitude of its first harmonic */
  f1: number | null
  /** their ratio */
  f1_f0: number | null
  /** preferred phase at the field's center, of a simple unit */
  phase_deg: number | null
  /** overlap of ON and OFF responses, 0 to 1 */
  polarity_overlap: number | null
  /** null: not defined for one frame */
  direction_selectivity: number | null
  /** share of the largest drive that a larger grating takes away */
  surround_suppression: number | null
  /** diameter of the aperture with the largest drive */
  preferred_size_px: number | null
  /** of the best grating: the larger of F0 - R0 and F1 */
  drive: number | null
  /** response to the best grating over that to the best photograph */
  natural_share: number | null
  best_bar: BestBar | null
  /** fitted to the map; null below an R² of 0.5 */
  gabor: Gabor | null
  /** largest response by kind of stimulus; `blank`: the gray screen */
  responses: Record<string, number>
  /** drive of the best grating by axis of color */
  drives: Record<string, number>
  /** measure to half the difference between halves of the stimuli */
  uncertainty: Record<string, number | null>
  /** why a measure is null; `no response` */
  notes: string[]
  /** what the measures are computed from */
  curves: Curves | null
  /** response-weighted average of noise, rows of cells from the top */
  map: number[][] | null
  /** derivative of the response to the best grating by the light in each cell */
  gradient_map: number[][] | null
  /** weights of a filter that reads the image: channels, rows, columns */
  filter: number[][][] | null
}

export interface BestBar {
  /** of the bar that drives the unit most */
  orientation_deg: number
  /** its distance from the field's center, across the bar */
  offset_px: number
  /** `bright` or `dark` */
  polarity: string
}

export interface Gabor {
  /** in units of the response */
  amplitude: number
  /** center, to the right of the field's center */
  x_px: number
  /** center, above it */
  y_px: number
  /** width across the bars */
  sigma_x_px: number
  /** width along the bars */
  sigma_y_px: number
  /** of the bars */
  orientation_deg: number
  /** cycles per pixel */
  frequency_cpp: number
  /** 0 for a bright bar in the middle */
  phase_deg: number
  /** share of the map's variance that it explains */
  r2: number
}

export interface Curves {
  /** drive for each of `orientations_deg` at the best frequency */
  orientation: number[]
  /** drive for each of `frequencies_cpp` at the best orientation */
  frequency: number[]
  /** response to the best grating for each of `phases_deg` */
  phase: number[]
  /** drive of the best grating behind an aperture of each of `sizes_px` */
  size: number[]
}

/** `striate probe MODEL --node NAME --border --json` */
export interface ProbedBorder {
  /** `striate.probe-border/1` */
  schema: string
  /** the network's name */
  network: string
  /** the node */
  node: string
  /** whether it or a convolution in front of it is padded; otherwise all modes are alike */
  padded: boolean
  modes: BorderMode[]
}

export interface BorderMode {
  /** padding of all convolutions: `zeros`, `reflect`, `replicate` or `circular` */
  mode: string
  /** `center`, `edge` (left) and `corner` (upper left) */
  places: Record<string, Probe>
}

/** Answer to `run`: what a training run has written so far. */
export interface LabRun {
  /** the run */
  name: string
  /** gone: its folder does not exist any more */
  state: "running" | "stopped" | "finished" | "gone"
  /** rows that were not asked for, at the start */
  since: number
  /** one for each epoch; null: not a finite number */
  rows: (Record<string, number | null>)[]
  /** rows in all */
  epochs: number
  /** epochs that were asked for; 0 if unknown */
  planned: number
  /** epoch whose weights are kept */
  best_epoch: number | null
  /** why it ended: `done`, `early stop`; `unfinished` */
  ended: string
  /** settings by name */
  settings: Record<string, string>
  /** of the kept weights, when the run is over */
  evaluation: Evaluation | null
}

/** Answer to `runs`. */
export interface LabRuns {
  /** by name */
  runs: LabRunName[]
}

/** A run folder below the current folder. */
export interface LabRunName {
  /** its path from there */
  name: string
  /** as in `run` */
  state: "running" | "stopped" | "finished" | "gone"
}

/** `striate explain CODE... --json`, `striate explain --all --json`; errors have the first five keys only. */
export interface Rules {
  /** `striate.rules/1` */
  schema: string
  rules: (RuleEntry | CodeEntry)[]
}

export interface RuleEntry {
  /** code */
  code: string
  /** name of the defect */
  name: string
  /** `error`, `warning` or `info` */
  severity: string
  /** theme of the code's letter */
  family: string
  /** the defect */
  what: string
  /** why it matters */
  why: string
  /** the fix */
  fix: string
  /** reference */
  source: string
  /** a network that the rule reports */
  bad: string
  /** a network that it does not report */
  good: string
  /** settings that the examples need */
  settings: Record<string, unknown>
  /** what `striate check` prints for `bad` */
  says: string
}

export interface CodeEntry {
  /** code */
  code: string
  /** name of the defect */
  name: string
  /** `error`, `warning` or `info` */
  severity: string
  /** theme of the code's letter */
  family: string
  /** the defect */
  what: string
}

/** Answer that a network, or a request, is wrong; of a request the status is 400 or above. */
export interface LabRefusal {
  /** what, where, why, fix */
  problem: Finding
}
