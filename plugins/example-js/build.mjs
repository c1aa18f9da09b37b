// Makes the component. What it needs is in package.json, and comes with `npm ci`.
//
//   node build.mjs WIT OUTPUT
//
// WIT is a folder with the contract (wit/ of the repository) and this plugin's world.wit.
import { readFile, writeFile } from "node:fs/promises";

import { componentize } from "@bytecodealliance/componentize-js";

const [wit, output] = process.argv.slice(2);
const here = (name) => new URL(name, import.meta.url);
const { component } = await componentize({
  sourcePath: here("plugin.js").pathname,
  witPath: wit,
  worldName: "json-redact",
  disableFeatures: process.env.F ? process.env.F.split(",") : [],
});

/** A custom section, as WebAssembly writes one: 0, its size, the length of its name, the name, the content. */
function section(name, content) {
  const size = (number) => {
    const bytes = [];
    for (; number > 127; number >>>= 7) bytes.push((number & 127) | 128);
    return Buffer.from([...bytes, number]);
  };
  const inside = Buffer.concat([size(name.length), Buffer.from(name), content]);
  return Buffer.concat([Buffer.of(0), size(inside.length), inside]);
}

await writeFile(output, Buffer.concat([component, section("portcullis-manifest", await readFile(here("plugin.toml")))]));
