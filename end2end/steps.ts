// What several tests do: launch over the API, look at a page in every size.
import { AxeBuilder } from "@axe-core/playwright";
import { expect, type Page } from "@playwright/test";
import type { Server } from "./fixtures.ts";

const LAMPS = "sku,title,price\nLAMP-1,Oak lamp,19.90\nLAMP-2,Birch lamp,29.90\n";

/** Launches as whoever is signed in on `page`; returns the job's id. */
export async function launch(page: Page, server: Server, file = "lamps.csv", csv = LAMPS, channels = "acme") {
  const response = await page.request.post(`${server.url}/api/v1/jobs/product-uploads`, {
    params: { channels, file },
    headers: { origin: server.url, "content-type": "text/csv" },
    data: csv,
  });
  expect(response.status(), await response.text()).toBe(202);
  return (await response.json()).job.id as string;
}

/** Waits until the job has come to its end. */
export async function ended(page: Page, server: Server, job: string) {
  const state = async () => (await (await page.request.get(`${server.url}/api/v1/jobs/${job}`)).json()).state;
  await expect.poll(state, { timeout: 30_000 }).not.toBe("running");
}

export const SIZES = [360, 768, 1440];

/** No sideways scroll in any size, and no rule of WCAG 2.2 AA broken. */
export async function looksRight(page: Page, name: string) {
  for (const width of SIZES) {
    await page.setViewportSize({ width, height: 800 });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    expect(over, `${name} at ${width} px scrolls sideways`).toBeLessThanOrEqual(0);
  }
  const { violations } = await new AxeBuilder({ page })
    .withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"])
    .analyze();
  expect(violations.map((v) => [name, v.id, v.nodes.map((n) => n.html)])).toEqual([]);
}
