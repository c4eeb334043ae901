// Takes screenshots of every page with real data, for people to review: not a test.
//   npx playwright test --config screenshots.config.ts
import base from "./playwright.config.ts";

export default { ...base, testDir: "screenshots", outputDir: "shots/.results", timeout: 300_000 };
