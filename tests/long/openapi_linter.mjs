// SPDX-License-Identifier: MIT
//
// Lints the document that is named, by every rule that the linter recommends taken as an error. What the
// document does not keep to on purpose stands below, with why.
import { readFile } from "node:fs/promises";
import { createConfig, lintFromString } from "@redocly/openapi-core";

const config = await createConfig({
  extends: ["spec", "recommended-strict"],
  rules: {
    "no-unused-components": "error",
    "no-invalid-media-type-examples": "error",
    "no-invalid-schema-examples": "error",
    "no-duplicated-tag-names": "error",
    "operation-singular-tag": "error",
    "operation-description": "off", // a summary says it where there is no more to say
    "tag-description": "error",
  },
});
const file = process.argv[2];
const problems = await lintFromString({ source: await readFile(file, "utf8"), absoluteRef: file, config });
for (const { severity, ruleId, message, location } of problems) {
  console.log(`${severity} ${ruleId} ${location?.[0]?.pointer ?? ""} ${message.split("\n")[0]}`);
}
console.log(`${problems.length} problems`);
process.exit(problems.length ? 1 : 0);
