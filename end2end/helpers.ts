// Helpers of several tests: launch over the API, check a page at every width.
import { AxeBuilder } from "@axe-core/playwright";
import { expect, type Page } from "@playwright/test";
import type { Server } from "./fixtures.ts";

const LAMPS = "sku,title,price\nLAMP-1,Oak lamp,19.90\nLAMP-2,Birch lamp,29.90\n";

/** Launches a job as the user signed in on `page`; returns the job's id. */
export async function launchJob(page: Page, server: Server, file = "lamps.csv", csv = LAMPS, channels = "acme") {
  const response = await page.request.post(`${server.url}/api/v1/jobs/product-uploads`, {
    params: { channels, file },
    headers: { origin: server.url, "content-type": "text/csv" },
    data: csv,
  });
  expect(response.status(), await response.text()).toBe(202);
  return (await response.json()).job.id as string;
}

/** Waits until the job is no longer running. */
export async function waitForJobEnd(page: Page, server: Server, job: string) {
  const state = async () => (await (await page.request.get(`${server.url}/api/v1/jobs/${job}`)).json()).state;
  await expect.poll(state, { timeout: 120_000 }).not.toBe("running");
}

/** Pauses the page's clock, which has to be installed: from then on only `runFor` advances it. */
export async function pauseClock(page: Page) {
  // Well ahead, because the clock runs on until the page receives this, and can't be set back.
  await page.clock.pauseAt(await page.evaluate(() => Date.now() + 10_000));
}

export const VIEWPORT_WIDTHS = [360, 768, 1440];

/** Expects no horizontal scrolling at any width, and no violation of WCAG 2.2 AA. */
export async function expectAccessibleLayout(page: Page, name: string) {
  for (const width of VIEWPORT_WIDTHS) {
    await page.setViewportSize({ width, height: 800 });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    expect(overflow, `${name} at ${width} px scrolls sideways`).toBeLessThanOrEqual(0);
  }
  const { violations } = await new AxeBuilder({ page })
    .withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"])
    .analyze();
  expect(violations.map((v) => [name, v.id, v.nodes.map((n) => n.html)])).toEqual([]);
}
