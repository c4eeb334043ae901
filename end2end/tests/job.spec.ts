import { AxeBuilder } from "@axe-core/playwright";
import { expect, signIn, test, uploadFile } from "../fixtures.ts";

const CSV = "sku,title,price\nA-1,Lamp,19.90\nA-2,Chair,29.90\nB-SBX-REJECT,Odd lamp,5.00\n";

test.beforeEach(async ({ page, server }) => {
  await signIn(page, server);
  await uploadFile(page, CSV);
  await expect(page.getByTestId("job-state")).toHaveText("Partly failed");
});

const rows = "table.grid tbody tr[aria-rowindex]:visible";

test("the server filters and searches items, and the URL reflects it", async ({ page }) => {
  await expect(page.locator(rows)).toHaveCount(3);
  await expect(page.getByTestId("matching-count")).toHaveText("3 rows");
  await expect(page.getByTestId("show-rejected")).toHaveText("Rejected 4");
  await page.getByTestId("show-rejected").click();
  await expect(page.locator(rows)).toHaveCount(1);
  await expect(page.getByTestId("matching-count")).toHaveText("1 row matches");
  await expect(page).toHaveURL(/show=rejected/);
  await page.getByTestId("show-all").click();
  await page.getByTestId("item-search").fill("CHAIR");
  await expect(page.locator(rows)).toHaveCount(1);
  await expect(page.locator(rows)).toContainText("A-2");
  await expect(page).toHaveURL(/q=CHAIR/);
  await page.reload();
  await expect(page.locator(rows)).toHaveCount(1);
  await expect(page.getByTestId("item-search")).toHaveValue("CHAIR");
  await page.getByTestId("item-search").fill("nothing like it");
  await expect(page.getByTestId("matching-count")).toContainText("No items match");
  await page.goBack();
  await expect(page.getByTestId("item-search")).toHaveValue("");
  await expect(page.locator(rows)).not.toHaveCount(0);
});

test("an item shows its attempts, and Escape restores the focus", async ({ page }) => {
  const cell = page.locator('[data-testid=cell][data-sku="B-SBX-REJECT"][data-channel="acme"]').getByRole("link");
  await page.getByTestId("item-search").fill("odd");
  await expect(page.locator(rows)).toHaveCount(1);
  await cell.click();
  const details = page.getByTestId("details");
  await expect(details.getByRole("heading", { name: "B-SBX-REJECT on acme" })).toBeFocused();
  await expect(details.getByTestId("attempt").first()).toContainText("Attempt 1");
  await expect(details.getByRole("button", { name: "Retry" }), "a retry can't help").toHaveCount(0);
  await page.keyboard.press("Escape");
  await expect(details).toHaveCount(0);
  await expect(cell).toBeFocused();
  await expect(page.locator(rows), "the search stays").toHaveCount(1);
  await cell.press("Enter");
  await details.getByRole("button", { name: "Send it unchanged again" }).click();
  await expect(page.getByTestId("job-state")).toHaveText("Partly failed");
  await expect(page.locator(rows), "the search stays after a form too").toHaveCount(1);
  // A request that came too early, as on a busy machine, is an attempt too.
  await expect(details.getByTestId("attempt").filter({ hasText: "Acme rejected it: " })).toHaveCount(2);
});

test("the grid can be navigated with the keyboard", async ({ page }) => {
  const cell = (sku: string, channel: string) =>
    page.locator(`[data-testid=cell][data-sku="${sku}"][data-channel="${channel}"] a`);
  await expect(page.getByTestId("connection")).toHaveText("live");
  await expect(page.locator("table.grid a[tabindex='0']"), "the grid is one tab stop").toHaveCount(1);
  await page.getByRole("region", { name: "Items" }).focus();
  await page.keyboard.press("Tab");
  await expect(cell("A-1", "acme")).toBeFocused();
  await page.keyboard.press("ArrowRight");
  await expect(cell("A-1", "bazaar")).toBeFocused();
  await page.keyboard.press("ArrowDown");
  await expect(cell("A-2", "bazaar")).toBeFocused();
  await page.keyboard.press("Control+End");
  await expect(cell("B-SBX-REJECT", "bazaar")).toBeFocused();
  await expect(page.getByTestId("announcement")).toContainText("B-SBX-REJECT on bazaar: rejected.");
  await page.keyboard.press("End");
  await expect(cell("B-SBX-REJECT", "depot")).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("details").getByRole("heading", { level: 2 })).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(cell("B-SBX-REJECT", "depot")).toBeFocused();
});

test("failed rows can be downloaded and uploaded again", async ({ page, server }) => {
  const link = page.getByTestId("failed-csv");
  await expect(link).toBeVisible();
  const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
  expect(download.suggestedFilename()).toBe("three-failed.csv");
  const chunks: Buffer[] = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
  const buffer = Buffer.concat(chunks);
  const lines = buffer.toString().trim().split("\r\n");
  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatch(
    /^B-SBX-REJECT,Odd lamp,5\.00,.*Acme rejected it: .*Bazaar rejected it: .*Corner rejected it: .*Depot rejected it: /,
  );
  await page.goto(server.url);
  await page.getByLabel(/CSV file/).setInputFiles({ name: "again.csv", mimeType: "text/csv", buffer });
  await page.getByRole("button", { name: "Upload 1 product to 4 channels" }).click();
  await expect(page.getByTestId("job-state")).toHaveText("Failed");
  await expect(page.getByTestId("counts")).toHaveText("4 of 4 finished · 4 rejected");
  const one = await page.request.get(`${page.url().split("?")[0]}/failed.csv?channel=acme`);
  expect(await one.text()).not.toContain("Bazaar");
  expect(one.headers()["content-disposition"]).toContain("again-acme-failed.csv");
});

test("the flow of an upload has one node per channel", async ({ page }) => {
  await page.getByRole("link", { name: "Flow", exact: true }).click();
  const nodes = page.getByTestId("flow-node");
  await expect(nodes).toHaveCount(4);
  await expect(nodes.first()).toContainText("Upload to Acme");
  await expect(nodes.first()).toContainText("3 items");
  await expect(nodes.first()).toContainText("2 uploaded");
  await nodes.nth(1).getByRole("link", { name: "1 rejected" }).click();
  await expect(page.locator(rows)).toHaveCount(1);
});

test("the timeline shows every event, newest first, and updates live", async ({ page, browser, server }) => {
  await page.getByRole("link", { name: "Timeline" }).click();
  const timeline = page.getByTestId("timeline");
  await expect(timeline.locator("li").last()).toContainText("Accepted, 12 items.");
  await page.getByText("Where the time went").click();
  await expect(page.getByRole("heading", { name: "The 12 slowest items" })).toBeVisible();
  await expect(page.getByTestId("slow-item")).toHaveCount(12);
  await expect(page.getByTestId("slow-item").first()).toContainText(/calls \d/i);
  await expect(timeline.locator("li").first()).toContainText(
    "Partly failed. 12 of 12 finished · 8 uploaded (8 created) · 4 rejected.",
  );
  await expect(page.getByTestId("connection")).toHaveText("live");
  const otherPage = await (await browser.newContext()).newPage();
  await signIn(otherPage, server);
  await otherPage.goto(page.url().split("?")[0]!);
  await expect(otherPage.getByRole("button", { name: /^Retry/ }), "a retry can't help").toBeHidden();
  await otherPage.locator('[data-testid=cell][data-state="rejected"] a').first().click();
  await otherPage.getByRole("button", { name: "Send it unchanged again" }).click();
  await expect(timeline).toContainText("Started again. 1 item queued.");
  await expect(timeline.locator("li").first()).toContainText("Partly failed.");
  await expect(timeline.locator("li").last()).toContainText("Accepted, 12 items.");
  const lines = await timeline.locator("li").allTextContents();
  await page.reload();
  await expect(timeline.locator("li").first()).toContainText("Partly failed.");
  expect(await timeline.locator("li").allTextContents(), "the live timeline equals the stored one").toEqual(lines);
  await otherPage.context().close();
});

test("a page reconnects when the network returns", async ({ page, context, network }) => {
  network.allowNetworkErrors = true;
  await expect(page.getByTestId("connection")).toHaveText("live");
  await context.setOffline(true);
  await expect(page.getByTestId("connection")).toHaveText("offline");
  await context.setOffline(false);
  await expect(page.getByTestId("connection")).toHaveText("live");
});

test("a job launched in another browser appears, and is counted once", async ({ page, browser, server }) => {
  await page.goto(`${server.url}/jobs`);
  await expect(page.getByTestId("connection")).toHaveText("live");
  await expect(page.getByTestId("unread-count")).toHaveText("1");
  const otherPage = await (await browser.newContext()).newPage();
  await signIn(otherPage, server);
  await uploadFile(otherPage, CSV, "more.csv");
  await expect(page.locator(".list-item").first()).toContainText("more.csv");
  await expect(page.locator(".list-item").first()).toContainText("Partly failed");
  await expect(page.getByTestId("unread-count")).toHaveText("2");
  await page.locator(".nav-rail").getByRole("link", { name: "Inbox" }).click();
  await expect(page.locator(".list-item.unread")).toHaveCount(2);
  await expect(page.getByTestId("unread-count")).toHaveText("2");
  await page.getByRole("button", { name: "Mark all as read" }).click();
  await expect(page.locator(".list-item.unread")).toHaveCount(0);
  await expect(otherPage.getByTestId("unread-count")).toBeHidden();
  await otherPage.context().close();
});

test("without scripts, items can be filtered, searched and opened", async ({ page, browser, context }) => {
  const contextWithoutScripts = await browser.newContext({
    javaScriptEnabled: false,
    storageState: await context.storageState(),
  });
  const pageWithoutScripts = await contextWithoutScripts.newPage();
  await pageWithoutScripts.goto(page.url().split("?")[0]!);
  await pageWithoutScripts.getByTestId("show-rejected").click();
  await expect(pageWithoutScripts.locator(rows)).toHaveCount(1);
  await pageWithoutScripts.getByTestId("show-all").click();
  await pageWithoutScripts.getByTestId("item-search").fill("lamp");
  await pageWithoutScripts.getByRole("button", { name: "Search" }).click();
  await expect(pageWithoutScripts.locator(rows)).toHaveCount(2);
  await pageWithoutScripts.locator('[data-testid=cell][data-state="rejected"] a').first().click();
  await expect(pageWithoutScripts.getByTestId("attempt").first()).toBeVisible();
  await pageWithoutScripts.getByRole("link", { name: "Close" }).click();
  await expect(pageWithoutScripts.locator(rows), "the search stays").toHaveCount(2);
  await pageWithoutScripts.getByRole("link", { name: "Flow", exact: true }).click();
  await expect(pageWithoutScripts.getByTestId("flow-node")).toHaveCount(4);
  await pageWithoutScripts.getByRole("link", { name: "Timeline" }).click();
  await expect(pageWithoutScripts.getByTestId("timeline")).toContainText("Accepted, 12 items.");
  await contextWithoutScripts.close();
});

for (const colorScheme of ["light", "dark"] as const) {
  test(`the pages have no accessibility violations, ${colorScheme}`, async ({ page, server }) => {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const job = page.url().split("?")[0]!;
    const task = await page.locator('[data-testid=cell][data-state="rejected"] a').first().getAttribute("href");
    for (const path of [
      "/",
      "/jobs",
      "/inbox",
      new URL(job).pathname,
      `${new URL(job).pathname}?view=timeline`,
      `${new URL(job).pathname}?view=flow`,
      task!,
    ]) {
      for (const width of [360, 768, 1440]) {
        await page.setViewportSize({ width, height: 800 });
        if (width === 360) await page.goto(`${server.url}${path}`);
        if (process.env.SCREENSHOT_DIR) {
          const name = path.replace(/[0-9a-f]{8}-[-0-9a-f]+/g, "x").replace(/[^a-z]+/g, "_");
          await page.screenshot({ path: `${process.env.SCREENSHOT_DIR}/${colorScheme}${name}-${width}.png` });
        }
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        expect(overflow, `${path} at ${width} px scrolls sideways`).toBeLessThanOrEqual(0);
      }
      const { violations } = await new AxeBuilder({ page })
        .withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"])
        .analyze();
      expect(violations.map((v) => [path, v.id, v.nodes.map((n) => n.html)])).toEqual([]);
    }
  });
}
