// Checks docs/asyncapi.json with AsyncAPI's own parser: node scripts/asyncapi.cjs
const { readFileSync } = require("node:fs");
const { resolve } = require("node:path");

const root = resolve(__dirname, "..");
const tools = resolve(root, "target/tools/asyncapi/node_modules");
const { Parser, DiagnosticSeverity } = require(require.resolve("@asyncapi/parser", { paths: [tools] }));

async function main() {
  const text = readFileSync(resolve(root, "docs/asyncapi.json"), "utf8");
  const { document, diagnostics } = await new Parser().parse(text);
  const problems = diagnostics.filter(({ severity }) => severity <= DiagnosticSeverity.Warning);
  for (const { code, message, path } of problems) {
    console.error(`docs/asyncapi.json: ${path.join(".")}: ${message} (${code})`);
  }
  if (!document || problems.length > 0) {
    process.exitCode = 1;
    return;
  }
  console.log(`docs/asyncapi.json is valid: ${document.allMessages().length} messages`);
}

main();
