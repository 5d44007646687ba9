// Each folder of src/panels with an index.ts becomes one module and one style sheet that need nothing else:
// nbexp/jupyter/panels/static/NAME.js and NAME.css. Nothing is loaded from elsewhere when they run.
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const panels = join(here, "src", "panels");
const out = join(here, "..", "nbexp", "jupyter", "panels", "static");

const names = readdirSync(panels).filter((name) => existsSync(join(panels, name, "index.ts")));
mkdirSync(out, { recursive: true });
for (const old of readdirSync(out)) {
  // A panel that was renamed or removed leaves nothing behind.
  if (/\.(js|css)$/.test(old) && !names.includes(old.replace(/\.(js|css)$/, ""))) {
    rmSync(join(out, old));
  }
}
await build({
  entryPoints: names.map((name) => ({ in: join(panels, name, "index.ts"), out: name })),
  outdir: out,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  // A notebook that is saved with its widgets holds the module: it stays ASCII, whoever reads it.
  charset: "ascii",
  legalComments: "none",
  logLevel: "warning",
});
