// Tests the check of a file, whose result is shown before anything is launched.
import { writeFileSync } from "node:fs";
import type { Browser, Page } from "@playwright/test";
import { csvFile, EMAIL, expect, PASSWORD, type Server, signIn, test, uploadFile } from "../fixtures.ts";

// At a higher speed, nothing is said about the time before the pace was measured.
test.use({
  settings: {
    MEANWHILE_ADMIN_EMAIL: EMAIL,
    MEANWHILE_ADMIN_PASSWORD: PASSWORD,
    MEANWHILE_SANDBOX_SPEED: "2",
  },
});

const LINES = Array.from({ length: 150 }, (_, n) => `S-${n + 1},Lamp ${n + 1},19.90`);
const GOOD = `sku,title,price\n${LINES.join("\n")}\n`;
/** The product in line 42 of the file has an invalid price. */
const ONE_BAD_ROW = GOOD.replace("S-41,Lamp 41,19.90", "S-41,Lamp 41,cheap");

const chooseFile = (page: Page, content: string) =>
  page.getByLabel(/CSV file/).setInputFiles(csvFile(content, "lamps.csv"));
const launchButton = (page: Page) => page.getByTestId("upload-button");

async function listJobs(page: Page, server: Server) {
  return (await page.request.get(`${server.url}/api/v1/jobs`)).json() as Promise<{
    items: { title: string; total: number; channels: string[] }[];
  }>;
}

async function signInWithoutScripts(browser: Browser, server: Server) {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, server);
  return { context, page };
}

test("a file is checked on the page, then launched by the same form", async ({ page, server }) => {
  await signIn(page, server);
  await expect(page.getByTestId("estimate")).toContainText("The sample takes about");
  await chooseFile(page, GOOD);
  const checkResult = page.getByTestId("check-result");
  await expect(checkResult).toContainText("plain CSV, comma between cells: 150 products from 150 rows");
  await expect(checkResult.locator("table.preview tbody tr")).toHaveCount(5);
  await expect(checkResult).toContainText("And 145 more.");
  await expect(launchButton(page)).toHaveText("Upload 150 products to 4 channels");
  const estimate = page.getByTestId("estimate");
  // Corner is asked for each product before it gets it.
  await expect(estimate).toContainText("limited by Corner");
  await page.getByLabel("Corner").uncheck();
  await expect(estimate).not.toContainText("Corner");
  await expect(launchButton(page)).toHaveText("Upload 150 products to 3 channels");
  for (const channel of ["Acme", "Bazaar", "Depot"]) await page.getByLabel(channel).uncheck();
  await expect(launchButton(page)).toBeDisabled();
  await expect(launchButton(page)).toHaveText("Choose a channel");
  await page.getByLabel("Acme").check();
  expect((await listJobs(page, server)).items, "nothing is launched yet").toEqual([]);
  await launchButton(page).click();
  await expect(page.getByText("Accepted. You can leave this page; we'll notify you.")).toBeVisible();
  const { items } = await listJobs(page, server);
  expect(items).toMatchObject([{ title: "lamps.csv", total: 150, channels: ["acme"] }]);
});

test("a bad row is reported by line and column, and the good rows are uploaded", async ({ page, server }) => {
  await signIn(page, server);
  await chooseFile(page, ONE_BAD_ROW);
  const problem = page.getByTestId("problem");
  await expect(problem).toContainText("1 row can't be uploaded.");
  await expect(problem.locator("tbody tr")).toHaveText(/42\s*price\s*.*not a number/);
  expect((await listJobs(page, server)).items).toEqual([]);
  await expect(page.getByText("1 bad row of 150 is skipped")).toBeVisible();
  await expect(launchButton(page)).toHaveText("Upload the 149 valid rows");
  await launchButton(page).click();
  await expect(page.getByText("Accepted.")).toBeVisible();
  expect((await listJobs(page, server)).items).toMatchObject([{ total: 596 }]);
});

test("a file without a good row can't be launched, and the page says why", async ({ page, server }) => {
  await signIn(page, server);
  await chooseFile(page, "sku,title,price\nA-1,Lamp,cheap\n");
  await expect(page.getByTestId("problem")).toContainText("not a number");
  await expect(launchButton(page)).toBeDisabled();
  await expect(launchButton(page)).toHaveText("No valid rows to upload");
  await page.getByLabel(/CSV file/).setInputFiles({ ...csvFile(""), buffer: Buffer.from([0x50, 0x4b, 3, 4, 0, 0]) });
  await expect(page.getByTestId("problem")).toContainText("This workbook is damaged");
  await expect(launchButton(page)).toBeDisabled();
  // Choosing another file replaces the previous one.
  await chooseFile(page, GOOD);
  await expect(launchButton(page)).toHaveText("Upload 150 products to 4 channels");
  await expect(page.getByTestId("problem")).toHaveCount(0);
  expect((await listJobs(page, server)).items).toEqual([]);
});

test("a file that is too large is rejected before it is sent", async ({ page, server }, info) => {
  await signIn(page, server);
  const path = info.outputPath("large.csv");
  writeFileSync(path, Buffer.alloc(33 * 1024 * 1024, "A-1,Lamp,1\n"));
  const sent: string[] = [];
  page.on("request", (request) => sent.push(request.url()));
  await page.getByLabel(/CSV file/).setInputFiles(path);
  await expect(page.getByTestId("problem")).toContainText("33 MiB");
  await expect(launchButton(page)).toBeDisabled();
  expect(sent.filter((url) => url.includes("/launch/"))).toEqual([]);
});

test("a file can be dropped on the panel", async ({ page, server }) => {
  await signIn(page, server);
  await expect(page.getByTestId("connection")).toHaveText("live");
  const data = await page.evaluateHandle((content) => {
    const data = new DataTransfer();
    data.items.add(new File([content], "dropped.csv", { type: "text/csv" }));
    return data;
  }, GOOD);
  const panel = page.locator("section.panel").first();
  await panel.dispatchEvent("dragover", { dataTransfer: data });
  await expect(panel).toHaveClass(/drag-over/);
  await panel.dispatchEvent("drop", { dataTransfer: data });
  await expect(panel).not.toHaveClass(/drag-over/);
  await expect(page.getByTestId("check-result")).toContainText("dropped.csv");
  await launchButton(page).click();
  await expect(page.getByRole("heading", { name: "dropped.csv" })).toBeVisible();
});

test("a check without a response is reported, and the file can still be launched", async ({
  page,
  server,
  network,
}) => {
  await signIn(page, server);
  network.allowNetworkErrors = true;
  await page.route("**/launch/check", (route) => route.abort("connectionrefused"));
  await chooseFile(page, GOOD);
  await expect(page.getByText("The server did not answer")).toBeVisible();
  await launchButton(page).click();
  await expect(page.getByText("Accepted.")).toBeVisible();
});

test("a form that is submitted twice launches one job", async ({ page, server }) => {
  await signIn(page, server);
  await chooseFile(page, GOOD);
  await expect(launchButton(page)).toHaveText(/150 products/);
  // The first answer opens in another tab: the second click of a double click may also meet the
  // page that the first one led to.
  const opened = page.context().waitForEvent("page");
  await launchButton(page).click({ modifiers: ["ControlOrMeta"] });
  await launchButton(page).click();
  await expect(page.getByText("Accepted.")).toBeVisible();
  const otherTab = await opened;
  await expect(otherTab.getByTestId("counts")).toBeVisible();
  expect(new URL(otherTab.url()).pathname).toBe(new URL(page.url()).pathname);
  await otherTab.close();
  await page.reload();
  await expect(page.getByTestId("counts")).toBeVisible();
  expect((await listJobs(page, server)).items).toHaveLength(1);
  // The next visit to the page launches another job.
  await page.goBack();
  await uploadFile(page, GOOD, "again.csv");
  await expect(page.getByRole("heading", { name: "again.csv" })).toBeVisible();
  expect((await listJobs(page, server)).items).toHaveLength(2);
});

test("the chosen file and channels stay while jobs start and finish", async ({ page, server, browser }) => {
  await signIn(page, server);
  await chooseFile(page, GOOD);
  await page.getByLabel("Corner").uncheck();
  await expect(launchButton(page)).toHaveText("Upload 150 products to 3 channels");
  const { context, page: otherPage } = await signInWithoutScripts(browser, server);
  await otherPage.getByRole("button", { name: "Upload the sample of 150" }).click();
  await expect(page.getByTestId("running").locator(".list-item")).toContainText("sample-150.csv");
  await otherPage.locator("summary", { hasText: "Cancel" }).click();
  await otherPage.getByRole("button", { name: "Cancel this job" }).click();
  await expect(page.getByTestId("finished").locator(".list-item")).toContainText("Cancelled");
  await expect(launchButton(page)).toHaveText("Upload 150 products to 3 channels");
  await context.close();
});

test("input given before the scripts have loaded is not lost", async ({ page, server }) => {
  await signIn(page, server);
  let serveWasm = () => {};
  const wasmServed = new Promise<void>((resolve) => (serveWasm = resolve));
  await page.route(/\.wasm$/, async (route) => {
    await wasmServed;
    await route.continue();
  });
  await page.goto(server.url);
  await chooseFile(page, GOOD);
  await page.getByLabel("Corner").uncheck();
  const machine = page.locator("[data-machine=web-2]").getByRole("checkbox");
  await machine.check();
  await expect(launchButton(page)).toHaveText("Upload the file");
  serveWasm();
  await expect(launchButton(page)).toHaveText("Upload 150 products to 3 channels");
  await expect(page.getByRole("button", { name: "Start 1 machine" })).toBeVisible();
  await expect(machine).toBeChecked();
});

test("a file can be launched with the keyboard alone", async ({ page, server }) => {
  await signIn(page, server);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  const focused = () =>
    page.evaluate(() => document.activeElement?.getAttribute("type") ?? document.activeElement?.textContent);
  const tabTo = async (wanted: RegExp) => {
    for (let n = 0; n < 20 && !wanted.test((await focused()) ?? ""); n += 1) await page.keyboard.press("Tab");
    expect(await focused()).toMatch(wanted);
  };
  await tabTo(/^file$/);
  const chooser = page.waitForEvent("filechooser");
  await page.keyboard.press("Space");
  await (await chooser).setFiles(csvFile(GOOD, "keys.csv"));
  await expect(page.getByTestId("check-result")).toBeVisible();
  await tabTo(/^checkbox$/);
  await page.keyboard.press("Space");
  await expect(launchButton(page)).toHaveText("Upload 150 products to 3 channels");
  await tabTo(/^Upload 150/);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "keys.csv" })).toBeVisible();
});

test.describe("without scripts", () => {
  test("a file is checked, then launched from the page with the result", async ({ server, browser }) => {
    const { context, page } = await signInWithoutScripts(browser, server);
    await chooseFile(page, GOOD);
    await page.getByLabel("Bazaar").uncheck();
    await page.getByRole("button", { name: "Check the file" }).click();
    await expect(page.getByTestId("check-result")).toContainText("150 products from 150 rows");
    await expect(page.getByTestId("estimate")).toContainText("It takes about");
    await expect(page.getByLabel("Bazaar")).not.toBeChecked();
    expect((await listJobs(page, server)).items).toEqual([]);
    await page.getByRole("button", { name: "Upload 150 products to 3 channels" }).click();
    await expect(page.getByText("Accepted.")).toBeVisible();
    expect((await listJobs(page, server)).items).toMatchObject([{ title: "lamps.csv", total: 450 }]);
    await context.close();
  });

  test("a bad row is reported by line and column, and the good rows are uploaded", async ({ server, browser }) => {
    const { context, page } = await signInWithoutScripts(browser, server);
    await chooseFile(page, ONE_BAD_ROW);
    await page.getByRole("button", { name: "Upload the file" }).click();
    await expect(page.getByTestId("problem").locator("tbody tr")).toHaveText(/42\s*price\s*.*not a number/);
    expect((await listJobs(page, server)).items).toEqual([]);
    await page.getByRole("button", { name: "Upload the 149 valid rows" }).click();
    await expect(page.getByText("Accepted.")).toBeVisible();
    expect((await listJobs(page, server)).items).toMatchObject([{ total: 596 }]);
    await context.close();
  });

  test("a file that is too large to embed in the page has to be chosen again", async ({ server, browser }) => {
    const { context, page } = await signInWithoutScripts(browser, server);
    const large = `sku,title,price,description\n${LINES.map((line) => `${line},${"x".repeat(5000)}`).join("\n")}\n`;
    await chooseFile(page, large);
    await page.getByRole("button", { name: "Check the file" }).click();
    await expect(page.getByText("choose it again")).toBeVisible();
    await chooseFile(page, large);
    await page.getByRole("button", { name: "Upload 150 products to 4 channels" }).click();
    await expect(page.getByText("Accepted.")).toBeVisible();
    await context.close();
  });

  test("a file over the size limit gets an error message", async ({ server, browser }, info) => {
    const { context, page } = await signInWithoutScripts(browser, server);
    const path = info.outputPath("large.csv");
    writeFileSync(path, Buffer.alloc(48 * 1024 * 1024, "A-1,Lamp,1\n"));
    await page.getByLabel(/CSV file/).setInputFiles(path);
    await page.getByRole("button", { name: "Upload the file" }).click({ timeout: 60_000 });
    await expect(page.getByTestId("problem")).toHaveText("A file may have up to 32 MiB. Split it.");
    await expect(page.getByRole("button", { name: "Upload the file" })).toBeVisible();
    await context.close();
  });

  test("the sample can be checked and launched", async ({ server, browser }) => {
    const { context, page } = await signInWithoutScripts(browser, server);
    await page.getByRole("button", { name: "Preview the sample" }).click();
    await expect(page.getByTestId("check-result")).toContainText("sample-150.csv");
    await page.getByRole("button", { name: "Upload 150 products to 4 channels" }).click();
    await expect(page.getByText("Accepted.")).toBeVisible();
    await context.close();
  });
});
