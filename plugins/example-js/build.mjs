// Makes the component, for `build`: node build.mjs WIT WORLD OUTPUT
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { componentize } from "@bytecodealliance/componentize-js";

const [witPath, worldName, output] = process.argv.slice(2);
const sourcePath = fileURLToPath(new URL("plugin.js", import.meta.url));
// What is not disabled is imported. Standard error stays: an exception is then in the proxy's log.
const disableFeatures = ["http", "fetch-event"];
const { component } = await componentize({ sourcePath, witPath, worldName, disableFeatures });
await writeFile(output, component);
