import { existsSync } from "node:fs";
import { defineConfig, devices } from "@playwright/test";

const system = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";
const quiet = ["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
// Chromium refuses its own sandbox under root.
const root = process.getuid?.() === 0 ? ["--no-sandbox"] : [];

export default defineConfig({
  testDir: "tests",
  timeout: 60_000,
  expect: { timeout: 15_000 },
  workers: 1,
  retries: 0,
  forbidOnly: !!process.env.CI,
  reporter: [["list"]],
  use: {
    ...devices["Desktop Chrome"],
    trace: "retain-on-failure",
    actionTimeout: 8_000,
    launchOptions: existsSync(system)
      ? { executablePath: system, args: [...quiet, ...root] }
      : { args: [...quiet, ...root] },
  },
});
