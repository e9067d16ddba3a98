// Bundles web/src into the one module that Python puts into pages. The output is committed: users need no Node.
import { build, transform } from "esbuild"
import { readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const outfile = process.argv[2] ?? here("../src/striate/views/static/striate.js")

// Style sheets are texts of the module, without spaces and comments.
const styles = {
  name: "styles",
  setup(run) {
    run.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, "utf8"), { loader: "css", minify: true })
      return { contents: code, loader: "text" }
    })
  },
}

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
  plugins: [styles],
  jsx: "automatic",
  jsxImportSource: "preact",
})
