// Bundles web/src into the one module and the one style sheet that Python puts into pages, and what `striate lab` adds
// to them. All are committed: users need no Node.
import { build } from "esbuild"
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
const served = {
  name: "the page's own module, as the lab serves it",
  setup: (run) => run.onResolve({ filter: /^striate-page$/ }, () => ({ path: "/striate.js", external: true })),
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
