// Tests the page of a running job with 10,000 rows on four channels.
import { EMAIL, expect, PASSWORD, signIn, test } from "../fixtures.ts";

const ROWS = 10_000;
const cell = "[data-testid=cell]";

function largeCsv(): Buffer {
  const lines = ["sku,title,price"];
  for (let n = 1; n <= ROWS; n++) lines.push(`L-${String(n).padStart(5, "0")},Oak lamp number ${n},${n % 90}.90`);
  return Buffer.from(lines.join("\n"));
}

test.use({
  settings: {
    MEANWHILE_ADMIN_EMAIL: EMAIL,
    MEANWHILE_ADMIN_PASSWORD: PASSWORD,
    MEANWHILE_SANDBOX_SPEED: "50",
  },
});

test("10,000 rows can be scrolled, searched and watched live", async ({ page, server }) => {
  test.setTimeout(600_000);
  await signIn(page, server);
  await page.addInitScript(() => {
    const durations: number[] = [];
    Object.assign(window, { longTaskDurations: durations });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) durations.push(entry.duration);
    }).observe({ type: "longtask", buffered: true });
  });
  await page.getByLabel(/CSV file/).setInputFiles({ name: "large.csv", mimeType: "text/csv", buffer: largeCsv() });
  await page.getByTestId("upload-button").click({ timeout: 60_000 });
  await expect(page.getByTestId("matching-count")).toHaveText("10,000 rows", { timeout: 60_000 });
  await expect(page.getByTestId("connection")).toHaveText("live");

  const maximum = { nodes: 0 };
  const countNodes = async () => {
    const nodes = await page.evaluate(() => {
      const walk = document.createTreeWalker(document, NodeFilter.SHOW_ALL);
      let count = 1;
      while (walk.nextNode()) count++;
      return count;
    });
    maximum.nodes = Math.max(maximum.nodes, nodes);
  };
  await countNodes();
  const region = page.getByRole("region", { name: "Items" });
  // document.elementFromPoint finds nothing outside the viewport.
  await region.evaluate((region) => region.scrollIntoView({ block: "center" }));
  // The last row is processed last, but is shown long before.
  for (const part of [0.2, 0.5, 0.51, 0.9, 1]) {
    await region.evaluate((region, part) => (region.scrollTop = region.scrollHeight * part), part);
    await expect
      .poll(() =>
        region.evaluate((region) => {
          const box = region.getBoundingClientRect();
          const at = document.elementFromPoint(box.left + 30, box.top + box.height / 2);
          return !!at?.closest("tr[aria-rowindex]");
        }),
      )
      .toBe(true);
    await countNodes();
  }
  await expect(page.locator(`tr[aria-rowindex="${ROWS + 1}"]`)).toContainText("L-10000");
  expect(await region.evaluate((r) => r.scrollHeight - r.scrollTop - r.clientHeight)).toBeLessThan(2);

  // The server filters the running job's items, and the result is live.
  await page.getByTestId("show-succeeded").click();
  await expect(page.locator(`${cell}[data-state="succeeded"]`).first()).toBeVisible();
  const count = async () => parseInt((await page.getByTestId("matching-count").textContent())!.replace(/\D/g, ""), 10);
  const before = await count();
  await expect.poll(count).toBeGreaterThan(before);
  await page.getByTestId("show-all").click();
  await page.getByTestId("item-search").fill("L-09999");
  await expect(page.getByTestId("matching-count")).toHaveText("1 row matches");
  await page.getByTestId("item-search").fill("");
  await expect(page.getByTestId("matching-count")).toHaveText("10,000 rows");

  // The keyboard moves the focus to the end and back.
  await region.focus();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Control+End");
  await expect(page.locator(`tr[aria-rowindex="${ROWS + 1}"] a`).first()).toBeFocused();
  await countNodes();

  // The first rows are being processed: hundreds of facts arrive per second.
  await page.keyboard.press("Control+Home");
  await expect(page.locator('tr[aria-rowindex="2"] a').first()).toBeFocused();
  const state = () => page.getByTestId("counts").textContent();
  for (let n = 0; n < 5; n++) {
    const previousCounts = await state();
    await expect.poll(state).not.toBe(previousCounts);
    await countNodes();
    await page.waitForTimeout(1_000);
  }
  const longTasks = await page.evaluate(() => (window as unknown as { longTaskDurations: number[] }).longTaskDurations);
  const info = `longest task ${Math.max(0, ...longTasks).toFixed(0)} ms of ${longTasks.length}, ${maximum.nodes} nodes, server ${(server.peakMemory / 1e6).toFixed(0)} MB`;
  // Logged, not asserted: how long a task takes depends on the machine's other load.
  console.log(`${info}; limit of the longest task: 200 ms`);
  expect(maximum.nodes, info).toBeLessThan(3_000);
  expect(server.peakMemory, info).toBeLessThan(300e6);
});

test("a cell at the end of 10,000 rows updates live", async ({ page, server, browser }) => {
  test.setTimeout(600_000);
  await signIn(page, server);
  await page.getByLabel(/CSV file/).setInputFiles({ name: "large.csv", mimeType: "text/csv", buffer: largeCsv() });
  await page.getByTestId("upload-button").click({ timeout: 60_000 });
  await expect(page.getByTestId("connection")).toHaveText("live");
  const region = page.getByRole("region", { name: "Items" });
  await region.evaluate((region) => (region.scrollTop = region.scrollHeight));
  const last = page.locator(`tr[aria-rowindex="${ROWS + 1}"] ${cell}`);
  await expect(last).toHaveCount(4);
  await expect(last.first()).toHaveAttribute("data-state", "queued");
  const otherPage = await (await browser.newContext()).newPage();
  await signIn(otherPage, server);
  await otherPage.goto(page.url().split("?")[0]!);
  await otherPage.locator("summary", { hasText: "Cancel" }).click();
  await otherPage.getByRole("button", { name: "Cancel this job" }).click({ timeout: 60_000 });
  for (const n of [0, 1, 2]) {
    await expect(last.nth(n)).toHaveAttribute("data-state", "cancelled", { timeout: 60_000 });
  }
  await expect(last.first(), "the scroll position stays").toBeVisible();
  await otherPage.context().close();
});
