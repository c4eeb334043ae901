import { existsSync } from "node:fs";
import { defineConfig, devices } from "@playwright/test";

const chromiumPath = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";
const chromiumFlags = [
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
// Chromium refuses its own sandbox under root.
const noSandboxFlags = process.getuid?.() === 0 ? ["--no-sandbox"] : [];

export default defineConfig({
  testDir: "tests",
  // Long enough for a machine that is slow or busy. Only a test that fails takes longer because of it.
  timeout: 240_000,
  expect: { timeout: 45_000 },
  workers: 1,
  retries: 0,
  forbidOnly: !!process.env.CI,
  reporter: [["list"], ["./errors_reporter.ts"]],
  use: {
    ...devices["Desktop Chrome"],
    trace: "retain-on-failure",
    actionTimeout: 45_000,
    launchOptions: existsSync(chromiumPath)
      ? { executablePath: chromiumPath, args: [...chromiumFlags, ...noSandboxFlags] }
      : { args: [...chromiumFlags, ...noSandboxFlags] },
  },
});
