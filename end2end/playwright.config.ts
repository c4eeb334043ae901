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
  timeout: 60_000,
  expect: { timeout: 15_000 },
  workers: 1,
  retries: 0,
  forbidOnly: !!process.env.CI,
  reporter: [["list"], ["./errors_reporter.ts"]],
  use: {
    ...devices["Desktop Chrome"],
    trace: "retain-on-failure",
    actionTimeout: 8_000,
    launchOptions: existsSync(chromiumPath)
      ? { executablePath: chromiumPath, args: [...chromiumFlags, ...noSandboxFlags] }
      : { args: [...chromiumFlags, ...noSandboxFlags] },
  },
});
