// Bundles web/src into the one module that Python puts into pages. The output is committed: users need no Node.
import { build } from "esbuild"
import { fileURLToPath } from "node:url"

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const outfile = process.argv[2] ?? here("../src/striate/views/static/striate.js")

await build({
  absWorkingDir: here("."),
  entryPoints: ["src/main.tsx"],
  outfile,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  platform: "browser",
  charset: "ascii", // the file may be read under any encoding
  legalComments: "none",
  loader: { ".css": "text" },
  jsx: "automatic",
  jsxImportSource: "preact",
})
