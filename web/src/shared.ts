// What the page's own module shares with a module that is added to it (build.mjs).
export { Fragment, h } from "preact"
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks"
export { compile, inputFrom } from "./engine"
export { digits } from "./large"
export { ARROWS } from "./parts/grid"
export { useWidth } from "./parts/width"
export { lab } from "./views/lab"
