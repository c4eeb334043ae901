// A job of 10,000 rows on three channels, while it runs.
import { expect, signIn, test, EMAIL, PASSWORD } from "../fixtures.ts";

const ROWS = 10_000;
const cell = "[data-testid=cell]";

function csv(): Buffer {
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

test("10,000 rows are scrolled, searched and watched", async ({ page, server }) => {
  test.setTimeout(180_000);
  await signIn(page, server);
  await page.addInitScript(() => {
    const found = ((window as any).long = [] as number[]);
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) found.push(entry.duration);
    }).observe({ type: "longtask", buffered: true });
  });
  await page.getByLabel(/CSV file/).setInputFiles({ name: "large.csv", mimeType: "text/csv", buffer: csv() });
  await page.getByTestId("launch").click({ timeout: 60_000 });
  await expect(page.getByTestId("matching")).toHaveText("10,000 rows", { timeout: 60_000 });
  await expect(page.getByTestId("connection")).toHaveText("live");

  const longest = { nodes: 0 };
  const measure = async () => {
    const nodes = await page.evaluate(() => {
      const walk = document.createTreeWalker(document, NodeFilter.SHOW_ALL);
      let count = 1;
      while (walk.nextNode()) count++;
      return count;
    });
    longest.nodes = Math.max(longest.nodes, nodes);
  };
  await measure();
  const region = page.getByRole("region", { name: "Items" });
  // Nothing is at a point outside of what is seen of the page.
  await region.evaluate((region) => region.scrollIntoView({ block: "center" }));
  // The last row is the last to be worked on: it is there long before.
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
    await measure();
  }
  await expect(page.locator(`tr[aria-rowindex="${ROWS + 1}"]`)).toContainText("L-10000");
  expect(await region.evaluate((r) => r.scrollHeight - r.scrollTop - r.clientHeight)).toBeLessThan(2);

  // What runs now is filtered by the server, and is live.
  await page.getByTestId("show-succeeded").click();
  await expect(page.locator(`${cell}[data-state="succeeded"]`).first()).toBeVisible();
  const count = async () => parseInt((await page.getByTestId("matching").textContent())!.replace(/\D/g, ""));
  const before = await count();
  await expect.poll(count).toBeGreaterThan(before);
  await page.getByTestId("show-all").click();
  await page.getByTestId("search").fill("L-09999");
  await expect(page.getByTestId("matching")).toHaveText("1 row matches");
  await page.getByTestId("search").fill("");
  await expect(page.getByTestId("matching")).toHaveText("10,000 rows");

  // The focus goes to the end and back by keyboard.
  await region.focus();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Control+End");
  await expect(page.locator(`tr[aria-rowindex="${ROWS + 1}"] a`).first()).toBeFocused();
  await measure();

  // Back at what is worked on, facts come by the hundred a second.
  await page.keyboard.press("Control+Home");
  await expect(page.locator('tr[aria-rowindex="2"] a').first()).toBeFocused();
  const state = () => page.getByTestId("counts").textContent();
  for (let n = 0; n < 5; n++) {
    const told = await state();
    await expect.poll(state).not.toBe(told);
    await measure();
    await page.waitForTimeout(1_000);
  }
  const long = await page.evaluate(() => (window as any).long as number[]);
  const info = `longest task ${Math.max(0, ...long).toFixed(0)} ms of ${long.length}, ${longest.nodes} nodes, server ${(server.peak / 1e6).toFixed(0)} MB`;
  // Told, not judged: how long a task takes depends on who else is on the machine.
  console.log(`${info}; bar of the longest task: 200 ms`);
  expect(longest.nodes, info).toBeLessThan(3_000);
  expect(server.peak, info).toBeLessThan(300e6);
});

test("a cell at the end of 10,000 rows is live", async ({ page, server, browser }) => {
  test.setTimeout(180_000);
  await signIn(page, server);
  await page.getByLabel(/CSV file/).setInputFiles({ name: "large.csv", mimeType: "text/csv", buffer: csv() });
  await page.getByTestId("launch").click({ timeout: 60_000 });
  await expect(page.getByTestId("connection")).toHaveText("live");
  const region = page.getByRole("region", { name: "Items" });
  await region.evaluate((region) => (region.scrollTop = region.scrollHeight));
  const last = page.locator(`tr[aria-rowindex="${ROWS + 1}"] ${cell}`);
  await expect(last).toHaveCount(3);
  await expect(last.first()).toHaveAttribute("data-state", "queued");
  const elsewhere = await (await browser.newContext()).newPage();
  await signIn(elsewhere, server);
  await elsewhere.goto(page.url().split("?")[0]!);
  await elsewhere.locator("summary", { hasText: "Cancel" }).click();
  await elsewhere.getByRole("button", { name: "Cancel this job" }).click();
  for (const n of [0, 1, 2]) await expect(last.nth(n)).toHaveAttribute("data-state", "cancelled");
  await expect(last.first(), "it stays where it was scrolled").toBeVisible();
  await elsewhere.context().close();
});
