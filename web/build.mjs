// Bundles web/src into the one module and the one style sheet that Python puts into pages, and what `striate lab` adds
// to them. All are committed: users need no Node.
import { build } from "esbuild"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const folder = process.argv[2] ?? here("../src/striate/views/static")

const modules = {
  absWorkingDir: here("."),
  outdir: folder,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  platform: "browser",
  charset: "ascii", // the file may be read under any encoding
  legalComments: "none",
  // Calls of h are shorter than those of Preact's newer runtime, for which tsconfig.json checks the types.
  jsx: "transform",
  jsxFactory: "h",
  jsxFragment: "Fragment",
  inject: ["src/jsx.ts"],
  tsconfigRaw: "{}",
}
await build({ ...modules, entryPoints: { striate: "src/main.tsx" } })
// What the experiment shares with the page's own module is handed to it, so that a page holds it once.
const shared = {
  name: "the page's own module, as the experiment gets it",
  setup(run) {
    run.onResolve({ filter: /^preact(\/hooks)?$|\/shared$/ }, () => ({ path: "page", namespace: "shared" }))
    const lists = readFileSync(here("src/shared.ts"), "utf8").matchAll(/export \{(.*?)\}/g)
    const names = [...lists].map(([, list]) => list).join()
    run.onLoad({ filter: /.*/, namespace: "shared" }, () => ({ contents: `export const {${names}} = striatePage` }))
  },
}
await build({
  ...modules,
  format: "iife",
  globalName: "striateExperiment",
  banner: { js: "globalThis.striateMore=striatePage=>{" },
  footer: { js: "return striateExperiment}" },
  entryPoints: { experiment: "src/views/lab/start.ts" },
  plugins: [shared],
})
const files = { "striate-page": "/striate.js", "striate-experiment": "/experiment.js" }
const served = {
  name: "the page's other modules, as the lab serves them",
  setup: (run) => run.onResolve({ filter: /^striate-/ }, ({ path }) => ({ path: files[path], external: true })),
}
await build({ ...modules, entryPoints: { lab: "src/lab/start.ts" }, plugins: [served] })
await build({
  absWorkingDir: here("."),
  entryPoints: { striate: "src/styles.css" },
  outdir: folder,
  bundle: true,
  minify: true,
  charset: "ascii",
  legalComments: "none",
})
