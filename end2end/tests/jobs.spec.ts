// Tests the lists of jobs: running, finished, and all jobs with filters.
import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { csvFile, expect, signIn, test, uploadFile } from "../fixtures.ts";

const CSV = "sku,title,price\nA-1,Lamp,19.90\nA-2,Chair,29.90\n";
const jobItems = (page: Page) => page.locator(".list .list-item:visible");

test("a running job is live on the launch page, and moves when it finishes", async ({ page, server, browser }) => {
  await signIn(page, server);
  await expect(page.getByTestId("running")).toContainText("Nothing is running.");
  await expect(page.getByTestId("finished")).toContainText("No jobs yet. What you launch appears here");
  await expect(page.getByTestId("connection")).toHaveText("live");
  const otherPage = await (await browser.newContext()).newPage();
  await signIn(otherPage, server);
  await uploadFile(otherPage, CSV, "lamps.csv");
  await expect(otherPage.getByTestId("job-state")).toHaveText("Succeeded");
  const finishedJob = page.getByTestId("finished").locator(".list-item");
  await expect(finishedJob).toContainText("lamps.csv");
  await expect(finishedJob).toContainText("Succeeded");
  await expect(finishedJob).toContainText("8 of 8 finished · 8 uploaded");
  await expect(page.getByTestId("running")).toContainText("Nothing is running.");
  await otherPage.context().close();
});

test("jobs can be filtered, searched and paged, with and without scripts", async ({ page, server, browser }) => {
  await signIn(page, server);
  const launch = async (title: string) => {
    const response = await page.request.post(
      `${server.url}/api/v1/jobs/product-uploads?channels=acme&file=${encodeURIComponent(title)}`,
      { data: title.includes("bad") ? "sku,title,price\nB-SBX-REJECT,Odd,5\n" : CSV, headers: { Origin: server.url } },
    );
    expect(response.status()).toBe(202);
  };
  for (let n = 0; n < 53; n += 1) await launch(`lamps ${n}.csv`);
  await launch("100%_bad.csv");
  await page.goto(`${server.url}/jobs`);
  await expect(jobItems(page)).toHaveCount(50);
  await expect(jobItems(page).first()).toContainText("100%_bad.csv");
  await page.getByRole("link", { name: "Older jobs" }).click();
  await expect(jobItems(page)).toHaveCount(4);
  await expect(jobItems(page).last()).toContainText("lamps 0.csv");
  await page.getByRole("link", { name: "Newest jobs" }).click();
  await expect(jobItems(page)).toHaveCount(50);

  await expect(jobItems(page).first()).toContainText("Failed");
  await page.getByRole("link", { name: "Failed", exact: true }).click();
  await expect(page).toHaveURL(/\/jobs\?state=failed$/);
  await expect(jobItems(page)).toHaveCount(1);
  await page.getByRole("link", { name: "Machine starts" }).click();
  await expect(page.getByText("No jobs match.")).toBeVisible();
  await page.getByRole("link", { name: "Show all jobs" }).click();
  await page.getByLabel("Search by title").fill("%_");
  await page.getByRole("button", { name: "Search" }).click();
  await expect(jobItems(page)).toHaveCount(1);
  await expect(page).toHaveURL(/q=%25_/);

  const contextWithoutScripts = await browser.newContext({ javaScriptEnabled: false });
  const pageWithoutScripts = await contextWithoutScripts.newPage();
  await signIn(pageWithoutScripts, server);
  await pageWithoutScripts.goto(`${server.url}/jobs`);
  await pageWithoutScripts.getByLabel("Search by title").fill("LAMPS 1");
  await pageWithoutScripts.getByRole("button", { name: "Search" }).click();
  await expect(jobItems(pageWithoutScripts)).toHaveCount(11);
  await pageWithoutScripts.getByRole("link", { name: "Failed", exact: true }).click();
  await expect(pageWithoutScripts.getByText("No jobs match.")).toBeVisible();
  await contextWithoutScripts.close();
});

test("a job appears when it starts to match the filter, and disappears when it no longer does", async ({
  page,
  server,
}) => {
  await signIn(page, server);
  await page.goto(`${server.url}/jobs?state=running&q=sample`);
  await expect(page.getByText("No jobs match.")).toBeVisible();
  await expect(page.getByTestId("connection")).toHaveText("live");
  // The job must not have ended when it is cancelled.
  const rows = Array.from({ length: 600 }, (_, n) => `S-${n},Lamp,1`).join("\n");
  const response = await page.request.post(
    `${server.url}/api/v1/jobs/product-uploads?channels=acme,bazaar,corner&file=sample.csv`,
    { data: `sku,title,price\n${rows}\n`, headers: { Origin: server.url } },
  );
  const job = response.headers().location!;
  await expect(jobItems(page)).toHaveCount(1);
  await expect(jobItems(page)).toContainText("Running");
  await page.request.post(`${server.url}${job}/cancel`, { headers: { Origin: server.url } });
  await expect(jobItems(page)).toHaveCount(0);
});

for (const colorScheme of ["light", "dark"] as const) {
  test(`the launch, machines and jobs pages have no accessibility violations, ${colorScheme}`, async ({
    page,
    server,
  }) => {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await signIn(page, server);
    await uploadFile(page, CSV, "lamps.csv");
    await expect(page.getByTestId("job-state")).toHaveText("Succeeded");
    await page.goto(`${server.url}/machines`);
    await page.locator("[data-machine=web-2]").getByRole("checkbox").check();
    await page.getByRole("button", { name: "Start 1 machine" }).click();
    await expect(page.getByTestId("job-state")).toBeVisible();
    await page.goto(server.url);
    await page.getByRole("button", { name: "Upload the sample of 150" }).click();
    await expect(page.getByTestId("job-state")).toBeVisible();
    for (const path of ["/", "/file", "/machines", "/jobs", "/jobs?state=failed"]) {
      for (const width of [360, 768, 1440]) {
        await page.setViewportSize({ width, height: 900 });
        if (width === 360) {
          await page.goto(`${server.url}${path.replace("/file", "/")}`);
          await expect(page.getByTestId("connection")).toHaveText("live");
        }
        if (path === "/file" && width === 360) {
          const content = "sku,title,price\nA-1,A brass lamp,19.90\n,No SKU at all,1\nA-2,Chair,cheap\nA-3,Rug,-9\n";
          await page
            .getByLabel(/CSV file/)
            .setInputFiles(csvFile(content, "some-rather-long-name-of-a-file-2026-11.csv"));
          await expect(page.getByTestId("problem")).toBeVisible();
        }
        if (process.env.SCREENSHOT_DIR) {
          const name = path === "/" ? "launch" : path.replace(/[^a-z]+/g, "-").slice(1);
          await page.screenshot({
            path: `${process.env.SCREENSHOT_DIR}/${name}-${colorScheme}-${width}.png`,
            fullPage: true,
          });
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
