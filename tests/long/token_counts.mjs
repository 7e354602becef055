// SPDX-License-Identifier: MIT
//
// How many tokens tiktoken (as WebAssembly, npm package `tiktoken`) makes of each text of a JSON array.
//   node token_counts.mjs TEXTS.json COUNTS.json

import { readFileSync, writeFileSync } from "node:fs";
import { get_encoding } from "tiktoken";

const texts = JSON.parse(readFileSync(process.argv[2], "utf8"));
const counts = {};
for (const name of ["cl100k_base", "o200k_base"]) {
  const encoding = get_encoding(name);
  counts[name] = texts.map((text) => encoding.encode_ordinary(text).length);
  encoding.free();
}
writeFileSync(process.argv[3], JSON.stringify(counts));
