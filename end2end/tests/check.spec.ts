// What the server understands of a file is seen before anything is launched.
import { writeFileSync } from "node:fs";
import type { Browser, Page } from "@playwright/test";
import { type Server, csv, expect, signIn, test, upload } from "../fixtures.ts";

const LINES = Array.from({ length: 150 }, (_, n) => `S-${n + 1},Lamp ${n + 1},19.90`);
const GOOD = `sku,title,price\n${LINES.join("\n")}\n`;
/** The product in line 42 of the file has no price that can be read. */
const ONE_BAD = GOOD.replace("S-41,Lamp 41,19.90", "S-41,Lamp 41,cheap");

const choose = (page: Page, content: string) => page.getByLabel(/CSV file/).setInputFiles(csv(content, "lamps.csv"));
const main = (page: Page) => page.getByTestId("launch");

async function jobs(page: Page, server: Server) {
  return (await page.request.get(`${server.url}/api/v1/jobs`)).json() as Promise<{
    items: { title: string; total: number; channels: string[] }[];
  }>;
}

async function withoutScripts(browser: Browser, server: Server) {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, server);
  return { context, page };
}

test("a file is understood in place, then launched by the same form", async ({ page, server }) => {
  await signIn(page, server);
  await expect(page.getByTestId("estimate")).toContainText("The sample takes about");
  await choose(page, GOOD);
  const understood = page.getByTestId("understood");
  await expect(understood).toContainText("plain CSV, comma between cells: 150 products from 150 rows");
  await expect(understood.locator("table.preview tbody tr")).toHaveCount(5);
  await expect(understood).toContainText("And 145 more.");
  await expect(main(page)).toHaveText("Upload 150 products to 3 channels");
  const estimate = page.getByTestId("estimate");
  await expect(estimate).toContainText("limited by Bazaar");
  await page.getByLabel("Bazaar").uncheck();
  await expect(estimate).not.toContainText("Bazaar");
  await expect(main(page)).toHaveText("Upload 150 products to 2 channels");
  for (const channel of ["Acme", "Corner"]) await page.getByLabel(channel).uncheck();
  await expect(main(page)).toBeDisabled();
  await expect(main(page)).toHaveText("Choose a channel");
  await page.getByLabel("Acme").check();
  expect((await jobs(page, server)).items, "nothing is launched yet").toEqual([]);
  await main(page).click();
  await expect(page.getByText("Accepted. You can leave this page; we'll tell you.")).toBeVisible();
  const { items } = await jobs(page, server);
  expect(items).toMatchObject([{ title: "lamps.csv", total: 150, channels: ["acme"] }]);
});

test("a bad row is named by line and column, and the good ones go", async ({ page, server }) => {
  await signIn(page, server);
  await choose(page, ONE_BAD);
  const problem = page.getByTestId("problem");
  await expect(problem).toContainText("1 row can't be uploaded.");
  await expect(problem.locator("tbody tr")).toHaveText(/42\s*price\s*.*not a number/);
  expect((await jobs(page, server)).items).toEqual([]);
  await expect(page.getByText("1 bad row of 150 is left out")).toBeVisible();
  await expect(main(page)).toHaveText("Upload the 149 good rows");
  await main(page).click();
  await expect(page.getByText("Accepted.")).toBeVisible();
  expect((await jobs(page, server)).items).toMatchObject([{ total: 447 }]);
});

test("a file with nothing good in it can't be launched, and says why", async ({ page, server }) => {
  await signIn(page, server);
  await choose(page, "sku,title,price\nA-1,Lamp,cheap\n");
  await expect(page.getByTestId("problem")).toContainText("not a number");
  await expect(main(page)).toBeDisabled();
  await expect(main(page)).toHaveText("No good row to upload");
  await page.getByLabel(/CSV file/).setInputFiles({ ...csv(""), buffer: Buffer.from([0x50, 0x4b, 3, 4, 0, 0]) });
  await expect(page.getByTestId("problem")).toContainText("Excel workbook");
  await expect(main(page)).toBeDisabled();
  // Another choice takes the place of the one before.
  await choose(page, GOOD);
  await expect(main(page)).toHaveText("Upload 150 products to 3 channels");
  await expect(page.getByTestId("problem")).toHaveCount(0);
  expect((await jobs(page, server)).items).toEqual([]);
});

test("a file that is too large is refused before it is sent", async ({ page, server }, info) => {
  await signIn(page, server);
  const path = info.outputPath("large.csv");
  writeFileSync(path, Buffer.alloc(33 * 1024 * 1024, "A-1,Lamp,1\n"));
  const sent: string[] = [];
  page.on("request", (request) => sent.push(request.url()));
  await page.getByLabel(/CSV file/).setInputFiles(path);
  await expect(page.getByTestId("problem")).toContainText("33 MiB");
  await expect(main(page)).toBeDisabled();
  expect(sent.filter((url) => url.includes("/launch/"))).toEqual([]);
});

test("a file is dropped on the panel", async ({ page, server }) => {
  await signIn(page, server);
  await expect(page.getByTestId("connection")).toHaveText("live");
  const data = await page.evaluateHandle((content) => {
    const data = new DataTransfer();
    data.items.add(new File([content], "dropped.csv", { type: "text/csv" }));
    return data;
  }, GOOD);
  const panel = page.locator("section.panel").first();
  await panel.dispatchEvent("dragover", { dataTransfer: data });
  await expect(panel).toHaveClass(/over/);
  await panel.dispatchEvent("drop", { dataTransfer: data });
  await expect(panel).not.toHaveClass(/over/);
  await expect(page.getByTestId("understood")).toContainText("dropped.csv");
  await main(page).click();
  await expect(page.getByRole("heading", { name: "dropped.csv" })).toBeVisible();
});

test("an answer that does not come is told, and what was chosen can be launched", async ({ page, server, network }) => {
  await signIn(page, server);
  network.mayFail = true;
  await page.route("**/launch/check", (route) => route.abort("connectionrefused"));
  await choose(page, GOOD);
  await expect(page.getByText("The server did not answer")).toBeVisible();
  await main(page).click();
  await expect(page.getByText("Accepted.")).toBeVisible();
});

test("a form that is sent twice launches once", async ({ page, server }) => {
  await signIn(page, server);
  await choose(page, GOOD);
  await expect(main(page)).toHaveText(/150 products/);
  await main(page).dblclick();
  await expect(page.getByText("Accepted.")).toBeVisible();
  await page.reload();
  await expect(page.getByTestId("counts")).toBeVisible();
  expect((await jobs(page, server)).items).toHaveLength(1);
  // The next visit is a launch of its own.
  await page.goBack();
  await upload(page, GOOD, "again.csv");
  await expect(page.getByRole("heading", { name: "again.csv" })).toBeVisible();
  expect((await jobs(page, server)).items).toHaveLength(2);
});

test("what is chosen stays while jobs come and go", async ({ page, server, browser }) => {
  await signIn(page, server);
  await choose(page, GOOD);
  await page.getByLabel("Corner").uncheck();
  await expect(main(page)).toHaveText("Upload 150 products to 2 channels");
  const { context, page: elsewhere } = await withoutScripts(browser, server);
  await elsewhere.getByRole("button", { name: "Upload the sample of 150" }).click();
  await expect(page.getByTestId("running").locator(".line")).toContainText("sample-150.csv");
  await elsewhere.locator("summary", { hasText: "Cancel" }).click();
  await elsewhere.getByRole("button", { name: "Cancel this job" }).click();
  await expect(page.getByTestId("ended").locator(".line")).toContainText("Cancelled");
  await expect(main(page)).toHaveText("Upload 150 products to 2 channels");
  await context.close();
});

test("whoever is quicker than the scripts is heard", async ({ page, server }) => {
  await signIn(page, server);
  let come = () => {};
  const coming = new Promise<void>((resolve) => (come = resolve));
  await page.route(/\.wasm$/, async (route) => {
    await coming;
    await route.continue();
  });
  await page.goto(server.url);
  await choose(page, GOOD);
  await page.getByLabel("Corner").uncheck();
  const machine = page.locator("[data-machine=web-2]").getByRole("checkbox");
  await machine.check();
  await expect(main(page)).toHaveText("Upload the file");
  come();
  await expect(main(page)).toHaveText("Upload 150 products to 2 channels");
  await expect(page.getByRole("button", { name: "Start 1 machine" })).toBeVisible();
  await expect(machine).toBeChecked();
});

test("the keyboard alone launches a file", async ({ page, server }) => {
  await signIn(page, server);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute("type") ?? document.activeElement?.textContent);
  const tabTo = async (wanted: RegExp) => {
    for (let n = 0; n < 20 && !wanted.test((await focused()) ?? ""); n += 1) await page.keyboard.press("Tab");
    expect(await focused()).toMatch(wanted);
  };
  await tabTo(/^file$/);
  const chooser = page.waitForEvent("filechooser");
  await page.keyboard.press("Space");
  await (await chooser).setFiles(csv(GOOD, "keys.csv"));
  await expect(page.getByTestId("understood")).toBeVisible();
  await tabTo(/^checkbox$/);
  await page.keyboard.press("Space");
  await expect(main(page)).toHaveText("Upload 150 products to 2 channels");
  await tabTo(/^Upload 150/);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "keys.csv" })).toBeVisible();
});

test.describe("without scripts", () => {
  test("a file is looked at, and the page that answers launches it", async ({ server, browser }) => {
    const { context, page } = await withoutScripts(browser, server);
    await choose(page, GOOD);
    await page.getByLabel("Bazaar").uncheck();
    await page.getByRole("button", { name: "Check the file" }).click();
    await expect(page.getByTestId("understood")).toContainText("150 products from 150 rows");
    await expect(page.getByTestId("estimate")).toContainText("It takes about");
    await expect(page.getByLabel("Bazaar")).not.toBeChecked();
    expect((await jobs(page, server)).items).toEqual([]);
    await page.getByRole("button", { name: "Upload 150 products to 2 channels" }).click();
    await expect(page.getByText("Accepted.")).toBeVisible();
    expect((await jobs(page, server)).items).toMatchObject([{ title: "lamps.csv", total: 300 }]);
    await context.close();
  });

  test("a bad row comes back by line and column, and the good ones go", async ({ server, browser }) => {
    const { context, page } = await withoutScripts(browser, server);
    await choose(page, ONE_BAD);
    await page.getByRole("button", { name: "Upload the file" }).click();
    await expect(page.getByTestId("problem").locator("tbody tr")).toHaveText(/42\s*price\s*.*not a number/);
    expect((await jobs(page, server)).items).toEqual([]);
    await page.getByRole("button", { name: "Upload the 149 good rows" }).click();
    await expect(page.getByText("Accepted.")).toBeVisible();
    expect((await jobs(page, server)).items).toMatchObject([{ total: 447 }]);
    await context.close();
  });

  test("a file that is too large to be carried along is chosen once more", async ({ server, browser }) => {
    const { context, page } = await withoutScripts(browser, server);
    const large = `sku,title,price,description\n${LINES.map((line) => `${line},${"x".repeat(5000)}`).join("\n")}\n`;
    await choose(page, large);
    await page.getByRole("button", { name: "Check the file" }).click();
    await expect(page.getByText("choose it once more")).toBeVisible();
    await choose(page, large);
    await page.getByRole("button", { name: "Upload 150 products to 3 channels" }).click();
    await expect(page.getByText("Accepted.")).toBeVisible();
    await context.close();
  });

  test("a file past the limit is answered in words", async ({ server, browser }, info) => {
    const { context, page } = await withoutScripts(browser, server);
    const path = info.outputPath("large.csv");
    writeFileSync(path, Buffer.alloc(150 * 1024 * 1024, "A-1,Lamp,1\n"));
    await page.getByLabel(/CSV file/).setInputFiles(path);
    await page.getByRole("button", { name: "Upload the file" }).click();
    await expect(page.getByTestId("problem")).toHaveText("A file may have up to 32 MiB. Split it.");
    await expect(page.getByRole("button", { name: "Upload the file" })).toBeVisible();
    await context.close();
  });

  test("the sample is looked at and launched", async ({ server, browser }) => {
    const { context, page } = await withoutScripts(browser, server);
    await page.getByRole("button", { name: "Look at the sample" }).click();
    await expect(page.getByTestId("understood")).toContainText("sample-150.csv");
    await page.getByRole("button", { name: "Upload 150 products to 3 channels" }).click();
    await expect(page.getByText("Accepted.")).toBeVisible();
    await context.close();
  });
});
