import { AxeBuilder } from "@axe-core/playwright";
import { expect, signIn, test, upload } from "../fixtures.ts";

const CSV = "sku,title,price\nA-1,Lamp,19.90\nA-2,Chair,29.90\nB-SBX-REJECT,Odd lamp,5.00\n";

test.beforeEach(async ({ page, server }) => {
  await signIn(page, server);
  await upload(page, CSV);
  await expect(page.getByTestId("job-state")).toHaveText("Partly failed");
});

const rows = "table.grid tbody tr[aria-rowindex]:visible";

test("items are filtered and searched by the server, and the address says it", async ({ page }) => {
  await expect(page.locator(rows)).toHaveCount(3);
  await expect(page.getByTestId("matching")).toHaveText("3 rows");
  await expect(page.getByTestId("show-failed")).toHaveText("Failed 3");
  await page.getByTestId("show-failed").click();
  await expect(page.locator(rows)).toHaveCount(1);
  await expect(page.getByTestId("matching")).toHaveText("1 row matches");
  await expect(page).toHaveURL(/show=failed/);
  await page.getByTestId("show-all").click();
  await page.getByTestId("search").fill("CHAIR");
  await expect(page.locator(rows)).toHaveCount(1);
  await expect(page.locator(rows)).toContainText("A-2");
  await expect(page).toHaveURL(/q=CHAIR/);
  await page.reload();
  await expect(page.locator(rows)).toHaveCount(1);
  await expect(page.getByTestId("search")).toHaveValue("CHAIR");
  await page.getByTestId("search").fill("nothing like it");
  await expect(page.getByTestId("matching")).toContainText("No item matches");
  await page.goBack();
  await expect(page.getByTestId("search")).toHaveValue("");
  await expect(page.locator(rows)).not.toHaveCount(0);
});

test("an item tells its attempts; Escape gives the focus back", async ({ page }) => {
  const cell = page.locator('[data-testid=cell][data-sku="B-SBX-REJECT"][data-channel="acme"]').getByRole("link");
  await page.getByTestId("search").fill("odd");
  await expect(page.locator(rows)).toHaveCount(1);
  await cell.click();
  const details = page.getByTestId("details");
  await expect(details.getByRole("heading", { name: "B-SBX-REJECT on acme" })).toBeFocused();
  await expect(details.getByTestId("attempt").first()).toContainText("Attempt 1");
  await expect(details.getByRole("button", { name: "Retry" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(details).toHaveCount(0);
  await expect(cell).toBeFocused();
  await expect(page.locator(rows), "the search stays").toHaveCount(1);
  await cell.press("Enter");
  await details.getByRole("button", { name: "Retry" }).click();
  await expect(page.getByTestId("job-state")).toHaveText("Partly failed");
  await expect(page.locator(rows), "also behind a form").toHaveCount(1);
  await expect(details.getByTestId("attempt")).toHaveCount(2);
});

test("the grid is walked by keyboard", async ({ page }) => {
  const cell = (sku: string, channel: string) =>
    page.locator(`[data-testid=cell][data-sku="${sku}"][data-channel="${channel}"] a`);
  await expect(page.getByTestId("connection")).toHaveText("live");
  await expect(page.locator("table.grid a[tabindex='0']"), "one stop of the Tab key").toHaveCount(1);
  await page.getByRole("region", { name: "Items" }).focus();
  await page.keyboard.press("Tab");
  await expect(cell("A-1", "acme")).toBeFocused();
  await page.keyboard.press("ArrowRight");
  await expect(cell("A-1", "bazaar")).toBeFocused();
  await page.keyboard.press("ArrowDown");
  await expect(cell("A-2", "bazaar")).toBeFocused();
  await page.keyboard.press("Control+End");
  await expect(cell("B-SBX-REJECT", "bazaar")).toBeFocused();
  await expect(page.getByTestId("told")).toContainText("B-SBX-REJECT on bazaar: failed.");
  await page.keyboard.press("End");
  await expect(cell("B-SBX-REJECT", "corner")).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("details").getByRole("heading", { level: 2 })).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(cell("B-SBX-REJECT", "corner")).toBeFocused();
});

test("what failed is downloaded, and uploaded again", async ({ page, server }) => {
  const link = page.getByTestId("failed-csv");
  await expect(link).toBeVisible();
  const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
  expect(download.suggestedFilename()).toBe("three-failed.csv");
  const chunks: Buffer[] = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
  const buffer = Buffer.concat(chunks);
  const lines = buffer.toString().trim().split("\r\n");
  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatch(/^B-SBX-REJECT,Odd lamp,5\.00,.*Acme: .*Bazaar: .*Corner: /);
  await page.goto(server.url);
  await page.getByLabel(/CSV file/).setInputFiles({ name: "again.csv", mimeType: "text/csv", buffer });
  await page.getByRole("button", { name: "Upload 1 product to 3 channels" }).click();
  await expect(page.getByTestId("job-state")).toHaveText("Failed");
  await expect(page.getByTestId("counts")).toHaveText("3 of 3 done, 3 failed");
  const one = await page.request.get(`${page.url().split("?")[0]}/failed.csv?channel=acme`);
  expect(await one.text()).not.toContain("Bazaar");
  expect(one.headers()["content-disposition"]).toContain("again-acme-failed.csv");
});

test("the flow of an upload has a node a channel", async ({ page }) => {
  await page.getByRole("link", { name: "Flow" }).click();
  const nodes = page.getByTestId("flow-node");
  await expect(nodes).toHaveCount(3);
  await expect(nodes.first()).toContainText("Upload to Acme");
  await expect(nodes.first()).toContainText("3 items");
  await expect(nodes.first()).toContainText("2 done");
  await nodes.nth(1).getByRole("link", { name: "1 failed" }).click();
  await expect(page.locator(rows)).toHaveCount(1);
});

test("the timeline tells all, newest first, and goes on live", async ({ page, browser, server }) => {
  await page.getByRole("link", { name: "Timeline" }).click();
  const timeline = page.getByTestId("timeline");
  await expect(timeline.locator("li").last()).toContainText("Accepted, 9 items.");
  await expect(timeline.locator("li").first()).toContainText("Partly failed. 9 of 9 done, 3 failed.");
  await expect(page.getByTestId("connection")).toHaveText("live");
  const elsewhere = await (await browser.newContext()).newPage();
  await signIn(elsewhere, server);
  await elsewhere.goto(page.url().split("?")[0]!);
  await elsewhere.getByRole("button", { name: "Retry failed" }).click();
  await expect(timeline).toContainText("Retry asked for. 3 items queued again.");
  await expect(timeline.locator("li").first()).toContainText("Partly failed.");
  await expect(timeline.locator("li").last()).toContainText("Accepted, 9 items.");
  const lines = await timeline.locator("li").allTextContents();
  await page.reload();
  await expect(timeline.locator("li").first()).toContainText("Partly failed.");
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

test("without scripts, items are filtered, searched and opened too", async ({ page, browser, context }) => {
  const plain = await browser.newContext({ javaScriptEnabled: false, storageState: await context.storageState() });
  const still = await plain.newPage();
  await still.goto(page.url().split("?")[0]!);
  await still.getByTestId("show-failed").click();
  await expect(still.locator(rows)).toHaveCount(1);
  await still.getByTestId("show-all").click();
  await still.getByTestId("search").fill("lamp");
  await still.getByRole("button", { name: "Search" }).click();
  await expect(still.locator(rows)).toHaveCount(2);
  await still.locator('[data-testid=cell][data-state="failed"] a').first().click();
  await expect(still.getByTestId("attempt").first()).toBeVisible();
  await still.getByRole("link", { name: "Close" }).click();
  await expect(still.locator(rows), "the search stays").toHaveCount(2);
  await still.getByRole("link", { name: "Flow" }).click();
  await expect(still.getByTestId("flow-node")).toHaveCount(3);
  await still.getByRole("link", { name: "Timeline" }).click();
  await expect(still.getByTestId("timeline")).toContainText("Accepted, 9 items.");
  await plain.close();
});

for (const colorScheme of ["light", "dark"] as const) {
  test(`no page breaks a rule of accessibility, ${colorScheme}`, async ({ page, server }) => {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const job = page.url().split("?")[0]!;
    const task = await page.locator('[data-testid=cell][data-state="failed"] a').first().getAttribute("href");
    for (const path of ["/", "/jobs", "/inbox", new URL(job).pathname, `${new URL(job).pathname}?view=timeline`, `${new URL(job).pathname}?view=flow`, task!]) {
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
