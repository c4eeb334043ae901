// Pictures of every page with real data, to be looked at: not a test.
//   npx playwright test --config screenshots.config.ts
import base from "./playwright.config.ts";

export default { ...base, testDir: "screenshots", outputDir: "shots/.results", timeout: 300_000 };
