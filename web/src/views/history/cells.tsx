// The hierarchy of 1962, and the layers that do the same.
import { Scroll } from "../../picture"

const SPOTS: [number, number][] = [
  [62, 78], [72, 100], [82, 122], [92, 144], [102, 166],
]

/** A field along a line through (x, y): light excites in the middle and inhibits on both sides. */
function Field({ x, y, scale = 1 }: { x: number; y: number; scale?: number }) {
  return (
    <g transform={`translate(${x} ${y}) rotate(-24) scale(${scale})`}>
      <ellipse class="off" rx="30" ry="54" />
      <rect class="on" x="-9" y="-50" width="18" height="100" rx="9" />
      <text y="5" class="plus">
        +
      </text>
      <text x="-19" y="5" class="minus">
        −
      </text>
      <text x="19" y="5" class="minus">
        −
      </text>
    </g>
  )
}

export function Cells() {
  return (
    <figure class="hierarchy">
      <Scroll label="The hierarchy of simple and complex cells, and its layers">
        <svg
          viewBox="-26 0 888 290"
          width="888"
          height="290"
          role="img"
          aria-label="Cells with round fields along a line feed one simple cell; simple cells of one orientation at several places feed one complex cell. In a network: a filter, relu, and max pooling."
        >
          <g class="round">
            {SPOTS.map(([x, y]) => (
              <g key={x}>
                <circle class="off" cx={x} cy={y} r="19" />
                <circle class="on" cx={x} cy={y} r="9" />
              </g>
            ))}
          </g>
          <text x="82" y="30" class="head">cells before the cortex</text>
          <text x="82" y="47">round fields along a line</text>
          <path class="arrow" d="M140 122H214" />
          <path class="tip" d="M222 122l-11 -5v10z" />
          <text x="180" y="112">sum</text>
          <text x="290" y="30" class="head">simple cell</text>
          <text x="290" y="47">a bar at one place</text>
          <Field x={290} y={122} />
          <path class="arrow" d="M362 122H436" />
          <path class="tip" d="M444 122l-11 -5v10z" />
          <text x="402" y="112">several places</text>
          <text x="520" y="30" class="head">simple cells</text>
          <text x="520" y="47">of one orientation</text>
          <Field x={476} y={122} scale={0.72} />
          <Field x={520} y={122} scale={0.72} />
          <Field x={564} y={122} scale={0.72} />
          <path class="arrow" d="M612 122H668" />
          <path class="tip" d="M676 122l-11 -5v10z" />
          <text x="642" y="112">any of them</text>
          <text x="742" y="30" class="head">complex cell</text>
          <text x="742" y="47">the bar anywhere in the field</text>
          <rect class="whole" x="690" y="72" width="104" height="100" rx="8" />
          <g transform="translate(742 122) rotate(-24)">
            {[-32, 0, 32].map((x) => (
              <rect key={x} class="on faint" x={x - 7} y="-40" width="14" height="80" rx="7" />
            ))}
          </g>
          <path class="rule" d="M20 206H800" />
          <text x="82" y="232" class="head">pixels</text>
          <text x="290" y="232" class="head">convolution, relu</text>
          <text x="290" y="250">one unit: weights on a small field</text>
          <text x="520" y="232" class="head">one feature map</text>
          <text x="520" y="250">the same weights at every place</text>
          <text x="742" y="232" class="head">max pooling</text>
          <text x="742" y="250">the strongest of its window</text>
          <text x="410" y="280" class="note">
            Above: the cortex as proposed in 1962. Below: the layers that do the same in a network.
          </text>
        </svg>
      </Scroll>
      <figcaption>
        The Neocognitron (1980) arranged S-cells and C-cells in planes in this order; convolution and pooling descend from them.
        Unlike the weights of a filter, cells differ from place to place, and learning by back-propagation came later.
      </figcaption>
    </figure>
  )
}
