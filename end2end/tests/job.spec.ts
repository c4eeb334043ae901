import { AxeBuilder } from "@axe-core/playwright";
import { expect, signIn, test, upload } from "../fixtures.ts";

const CSV = "sku,title,price\nA-1,Lamp,19.90\nA-2,Chair,29.90\nB-SBX-REJECT,Odd lamp,5.00\n";

test.beforeEach(async ({ page, server }) => {
  await signIn(page, server);
  await upload(page, CSV);
  await expect(page.getByTestId("job-state")).toHaveText("Partly failed");
});

test("items are filtered and searched", async ({ page }) => {
  const rows = page.locator("table.grid tbody tr:visible");
  await expect(rows).toHaveCount(3);
  await page.getByTestId("filter").selectOption("failed");
  await expect(rows).toHaveCount(1);
  await expect(page.getByTestId("matching")).toHaveText("1 of 3 rows");
  await page.getByTestId("filter").selectOption("all");
  await page.getByTestId("search").fill("CHAIR");
  await expect(rows).toHaveCount(1);
  await expect(rows).toContainText("A-2");
  await page.getByTestId("search").fill("nothing like it");
  await expect(page.getByTestId("matching")).toContainText("No item matches");
});

test("an item tells its attempts; Escape gives the focus back", async ({ page }) => {
  const cell = page.locator('[data-testid=cell][data-sku="B-SBX-REJECT"][data-channel="acme"]').getByRole("link");
  await page.getByTestId("search").fill("odd");
  await cell.click();
  const details = page.getByTestId("details");
  await expect(details.getByRole("heading", { name: "B-SBX-REJECT on acme" })).toBeFocused();
  await expect(details.getByTestId("attempt").first()).toContainText("Attempt 1");
  await expect(details.getByRole("button", { name: "Retry" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(details).toHaveCount(0);
  await expect(cell).toBeFocused();
  await expect(page.locator("table.grid tbody tr:visible"), "the search stays").toHaveCount(1);
});

test("the timeline tells all, and goes on live", async ({ page, browser, server }) => {
  await page.getByRole("link", { name: "Timeline" }).click();
  const timeline = page.getByTestId("timeline");
  await expect(timeline.locator("li").first()).toContainText("Accepted, 9 items.");
  await expect(timeline.locator("li").last()).toContainText("Partly failed. 9 of 9 done, 3 failed.");
  await expect(page.getByTestId("connection")).toHaveText("live");
  const elsewhere = await (await browser.newContext()).newPage();
  await signIn(elsewhere, server);
  await elsewhere.goto(page.url().split("?")[0]!);
  await elsewhere.getByRole("button", { name: "Retry failed" }).click();
  await expect(timeline).toContainText("Retry asked for. 3 items queued again.");
  await expect(timeline.locator("li").last()).toContainText("Partly failed.");
  const lines = await timeline.locator("li").allTextContents();
  await page.reload();
  await expect(timeline.locator("li").last()).toContainText("Partly failed.");
  expect(await timeline.locator("li").allTextContents(), "live as stored").toEqual(lines);
  await elsewhere.context().close();
});

test("a network that comes back makes the page live again", async ({ page, context, network }) => {
  network.mayFail = true;
  await expect(page.getByTestId("connection")).toHaveText("live");
  await context.setOffline(true);
  await expect(page.getByTestId("connection")).toHaveText("offline");
  await context.setOffline(false);
  await expect(page.getByTestId("connection")).toHaveText("live");
});

test("what another tab launches appears, and is counted once", async ({ page, browser, server }) => {
  await page.goto(`${server.url}/jobs`);
  await expect(page.getByTestId("connection")).toHaveText("live");
  await expect(page.getByTestId("bell-count")).toHaveText("1");
  const elsewhere = await (await browser.newContext()).newPage();
  await signIn(elsewhere, server);
  await upload(elsewhere, CSV, "more.csv");
  await expect(page.locator(".line").first()).toContainText("more.csv");
  await expect(page.locator(".line").first()).toContainText("Partly failed");
  await expect(page.getByTestId("bell-count")).toHaveText("2");
  await page.locator(".rail").getByRole("link", { name: "Inbox" }).click();
  await expect(page.locator(".line.unread")).toHaveCount(2);
  await expect(page.getByTestId("bell-count")).toHaveText("2");
  await page.getByRole("button", { name: "Mark all as read" }).click();
  await expect(page.locator(".line.unread")).toHaveCount(0);
  await expect(elsewhere.getByTestId("bell-count")).toBeHidden();
  await elsewhere.context().close();
});

test("without scripts, items are filtered and opened too", async ({ page, browser, context }) => {
  const plain = await browser.newContext({ javaScriptEnabled: false, storageState: await context.storageState() });
  const still = await plain.newPage();
  await still.goto(page.url().split("?")[0]!);
  await still.getByTestId("filter").selectOption("failed");
  await still.getByRole("button", { name: "Show" }).click();
  await expect(still.locator("table.grid tbody tr:visible")).toHaveCount(1);
  await still.locator('[data-testid=cell][data-state="failed"] a').first().click();
  await expect(still.getByTestId("attempt").first()).toBeVisible();
  await still.getByRole("link", { name: "Timeline" }).click();
  await expect(still.getByTestId("timeline")).toContainText("Accepted, 9 items.");
  await plain.close();
});

for (const colorScheme of ["light", "dark"] as const) {
  test(`no page breaks a rule of accessibility, ${colorScheme}`, async ({ page, server }) => {
    await page.emulateMedia({ colorScheme });
    const job = page.url().split("?")[0]!;
    const task = await page.locator('[data-testid=cell][data-state="failed"] a').first().getAttribute("href");
    for (const path of ["/", "/jobs", "/inbox", new URL(job).pathname, `${new URL(job).pathname}?view=timeline`, task!]) {
      for (const width of [360, 768, 1440]) {
        await page.setViewportSize({ width, height: 800 });
        if (width === 360) await page.goto(`${server.url}${path}`);
        if (process.env.SHOTS) {
          const name = path.replace(/[0-9a-f]{8}-[-0-9a-f]+/g, "x").replace(/[^a-z]+/g, "_");
          await page.screenshot({ path: `${process.env.SHOTS}/${colorScheme}${name}-${width}.png` });
        }
        const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        expect(over, `${path} at ${width} px scrolls sideways`).toBeLessThanOrEqual(0);
      }
      const { violations } = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]).analyze();
      expect(violations.map((v) => [path, v.id, v.nodes.map((n) => n.html)])).toEqual([]);
    }
  });
}
