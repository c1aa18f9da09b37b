// Makes the component; `portcullis plugin build` calls it:
//
//   node build.mjs WIT WORLD OUTPUT
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { componentize } from "@bytecodealliance/componentize-js";

const [witPath, worldName, output] = process.argv.slice(2);
const sourcePath = fileURLToPath(new URL("plugin.js", import.meta.url));
const { component } = await componentize({ sourcePath, witPath, worldName, disableFeatures: ["http", "fetch-event"] });
await writeFile(output, component);
