// Tests the questions about a file: what a person is asked, answers and is told before the launch.
import { readFileSync } from "node:fs";
import type { Browser, Page } from "@playwright/test";
import { csvFile, expect, type Server, signIn, test } from "../fixtures.ts";
import { expectAccessibleLayout } from "../helpers.ts";

/** A German list whose names say nothing for certain: two of its columns could be the price. */
const GERMAN_LIST = `Kürzel;Artikel;VK;EK
L-1;Eichenlampe;19,90;9,10
L-2;Birkenlampe;1.299,00;600,00
`;
const AMBIGUOUS_PRICES = "sku,title,price\nA-1,Oak lamp,1.500\nA-2,Birch lamp,2.300\n";
const WITH_DRAFTS = `ID,Type,SKU,Name,Published,Regular price
1,simple,L-1,Oak lamp,1,19.90
2,simple,L-2,Birch lamp,0,29.90
3,simple,L-3,Brass lamp,-1,39.90
4,simple,L-4,Linen lamp,1,49.90
`;
const WORKBOOK = {
  name: "artikel.xlsx",
  mimeType: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  buffer: readFileSync(new URL("../fixtures/two-sheets.xlsx", import.meta.url)),
};

const chooseFile = (page: Page, content: string, name: string) =>
  page.getByLabel(/CSV file/).setInputFiles(csvFile(content, name));
const launchButton = (page: Page) => page.getByTestId("upload-button");
const checkResult = (page: Page) => page.getByTestId("check-result");
const columns = (page: Page) => page.getByTestId("columns");
const preview = (page: Page) => checkResult(page).locator("table.preview tbody tr");

async function signInWithoutScripts(browser: Browser, server: Server) {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, server);
  return { context, page };
}

async function listJobs(page: Page, server: Server) {
  const { items } = await (await page.request.get(`${server.url}/api/v1/jobs`)).json();
  return items as { id: string; title: string; total: number }[];
}

/** Returns the SKUs of the newest job's items. */
async function sentSkus(page: Page, server: Server) {
  const [job] = await listJobs(page, server);
  const { items } = await (await page.request.get(`${server.url}/api/v1/jobs/${job!.id}/tasks`)).json();
  return (items as { sku: string }[]).map((task) => task.sku);
}

test("the columns of a German list are asked for, and remembered for the next one", async ({ page, server }) => {
  await signIn(page, server);
  await chooseFile(page, GERMAN_LIST, "artikel.csv");
  await expect(launchButton(page)).toBeDisabled();
  await expect(launchButton(page)).toHaveText("Answer the question above");
  const title = page.getByLabel(/^Artikel/);
  await expect(columns(page).getByRole("listitem")).toHaveCount(4);
  await expect(columns(page)).toContainText("Eichenlampe · Birkenlampe");
  await expectAccessibleLayout(page, "a question about columns");

  await page.getByLabel(/^Kürzel/).selectOption("SKU");
  await title.selectOption("Title");
  const price = page.getByLabel(/^VK/);
  await price.focus();
  await price.selectOption("Price");
  await expect(launchButton(page)).toHaveText("Upload 2 products to 4 channels");
  await expect(price, "the focus stays where the answer was given").toBeFocused();
  await expect(preview(page)).toHaveText([/L-1\s*Eichenlampe\s*19\.90/, /L-2\s*Birkenlampe\s*1,299\.00/]);
  await launchButton(page).click();
  await expect(page.getByText("Accepted.")).toBeVisible();
  expect(new Set(await sentSkus(page, server))).toEqual(new Set(["L-1", "L-2"]));

  // The next file with this header is read like the last one.
  await page.goto(server.url);
  await chooseFile(page, GERMAN_LIST.replace("19,90", "18,90"), "artikel-neu.csv");
  await expect(columns(page).locator("summary")).toContainText("Columns as chosen by ada@example.com on");
  await expect(launchButton(page)).toHaveText("Upload 2 products to 4 channels");
  await expect(preview(page).first()).toContainText("18.90");

  // It can be changed: the price moves to the other column.
  await columns(page).locator("summary").click();
  await page.getByLabel(/^EK/).selectOption("Price");
  await expect(preview(page).first()).toContainText("9.10");
  await expect(page.getByLabel(/^VK/).locator("option:checked")).toHaveText("Not read");
  await expect(columns(page).locator("summary")).not.toContainText("chosen by");
});

test("a remembered choice of columns can be forgotten", async ({ page, server, browser }) => {
  await signIn(page, server);
  const upload = async (target: Page) => {
    await chooseFile(target, GERMAN_LIST, "artikel.csv");
    await target.getByLabel(/^Kürzel/).selectOption("SKU");
    await target.getByLabel(/^Artikel/).selectOption("Title");
    await target.getByLabel(/^VK/).selectOption("Price");
    await launchButton(target).click();
    await expect(target.getByText("Accepted.")).toBeVisible();
    await target.goto(server.url);
  };
  await upload(page);
  await chooseFile(page, GERMAN_LIST, "artikel.csv");
  await expect(launchButton(page)).toHaveText("Upload 2 products to 4 channels");
  await columns(page).locator("summary").click();
  await expectAccessibleLayout(page, "remembered columns");
  await page.getByRole("button", { name: "Forget this choice" }).click();
  await expect(columns(page).locator("summary")).toContainText("Which columns have");
  await expect(columns(page).getByRole("combobox").first()).toBeFocused();
  await expect(launchButton(page)).toBeDisabled();
  await expect(page.getByRole("button", { name: "Forget this choice" })).toHaveCount(0);

  // The next file is asked about again.
  await page.goto(server.url);
  await upload(page);

  // It works without scripts, too.
  const { context, page: plainPage } = await signInWithoutScripts(browser, server);
  await chooseFile(plainPage, GERMAN_LIST, "artikel.csv");
  await plainPage.getByRole("button", { name: "Check the file" }).click();
  await columns(plainPage).locator("summary").click();
  await plainPage.getByRole("button", { name: "Forget this choice" }).click();
  await expect(columns(plainPage).locator("summary")).toContainText("Which columns have");
  await context.close();
});

test("questions are answered with the keyboard alone", async ({ page, server }) => {
  await signIn(page, server);
  const announcement = page.locator("form [role=status]");
  await page.getByLabel(/CSV file/).focus();
  await chooseFile(page, GERMAN_LIST, "artikel.csv");
  await expect(page.getByLabel(/^Kürzel/)).toBeFocused();
  await expect(announcement).toHaveText("1 question is open.");
  const answer = async (word: string) => {
    // A list starts a new search after a pause of a second: on a slow machine between two letters, and before the word
    // is typed again.
    await expect(async () => {
      await page.keyboard.type(word);
      await expect(page.locator("select:focus option:checked")).toHaveText(word, { timeout: 1_500 });
    }).toPass({ timeout: 60_000 });
  };
  await answer("SKU");
  // A question that is open keeps Enter from launching anything.
  await page.keyboard.press("Enter");
  await page.keyboard.press("Escape");
  await expect(page).toHaveURL(`${server.url}/`);
  await page.keyboard.press("Tab");
  await answer("Title");
  await page.keyboard.press("Tab");
  await answer("Price");
  await expect(page.getByLabel(/^VK/)).toBeFocused();
  await expect(announcement).toHaveText("No question is open. 2 products can be uploaded.");
  await expect(launchButton(page)).toBeEnabled();

  await page.getByLabel(/CSV file/).focus();
  await chooseFile(page, AMBIGUOUS_PRICES, "prices.csv");
  await expect(page.getByLabel("1.500 is 1,500.00")).toBeFocused();
  await page.keyboard.press("ArrowDown");
  await expect(page.getByLabel("A point, as in 1,299.00")).toBeFocused();
  await expect(launchButton(page)).toHaveText("Upload 2 products to 4 channels");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "prices.csv" })).toBeVisible();
  expect(await listJobs(page, server)).toHaveLength(1);
});

test("programs are asked, whatever the team chose", async ({ page, server }) => {
  await signIn(page, server);
  const upload = (map: string) =>
    page.request.post(`${server.url}/api/v1/jobs/product-uploads`, {
      params: { channels: "acme", ...(map && { map }) },
      headers: { origin: server.url, "content-type": "text/csv" },
      data: GERMAN_LIST,
    });
  await chooseFile(page, GERMAN_LIST, "artikel.csv");
  for (const [column, field] of [
    [/^Kürzel/, "SKU"],
    [/^Artikel/, "Title"],
    [/^VK/, "Price"],
  ] as const) {
    await page.getByLabel(column).selectOption(field);
  }
  await launchButton(page).click();
  await expect(page.getByText("Accepted.")).toBeVisible();
  expect((await upload("")).status()).toBe(422);
  expect((await upload("sku:Kürzel,title:Artikel,price:VK")).status()).toBe(202);
});

test("an ambiguous price is decided by a person", async ({ page, server }) => {
  await signIn(page, server);
  await chooseFile(page, AMBIGUOUS_PRICES, "prices.csv");
  const choice = page.getByTestId("choice-decimal");
  await expect(launchButton(page)).toHaveText("Answer the question above");
  await expect(launchButton(page)).toBeDisabled();
  await expect(choice.getByRole("radio", { checked: true })).toHaveCount(0);
  await expectAccessibleLayout(page, "a question about prices");
  await choice.getByLabel("1.500 is 1,500.00").check();
  await expect(launchButton(page)).toHaveText("Upload 2 products to 4 channels");
  await expect(preview(page).first()).toContainText("1,500.00");
  await expect(choice.getByRole("radio", { checked: true })).toBeFocused();
  await expect(choice).toContainText("Read as 1.500 → 1,500.00 · 2.300 → 2,300.00");

  // What a price means is asked again for the next file.
  await chooseFile(page, AMBIGUOUS_PRICES, "more-prices.csv");
  await expect(launchButton(page)).toHaveText("Answer the question above");
  await choice.getByLabel("1.500 is 1.50").check();
  await expect(preview(page).first()).toContainText(/Oak lamp\s*1\.50/);
  await launchButton(page).click();
  await expect(page.getByText("Accepted.")).toBeVisible();
});

test("drafts are left out and listed, unless they are asked for", async ({ page, server }) => {
  await signIn(page, server);
  await chooseFile(page, WITH_DRAFTS, "wc-product-export.csv");
  await expect(launchButton(page)).toHaveText("Upload 2 products to 4 channels");
  const leftOut = page.getByTestId("left-out-rows");
  await expect(leftOut.locator("summary")).toContainText("2 rows are left out");
  await leftOut.locator("summary").click();
  await expect(leftOut.locator("tbody tr")).toHaveText([/^3/, /^4/]);
  const drafts = page.getByTestId("choice-drafts");
  await expect(drafts.getByLabel("Leave them out")).toBeChecked();
  await drafts.getByLabel(/Send them as drafts/).check();
  await expect(launchButton(page)).toHaveText("Upload 4 products to 4 channels");
  await expect(leftOut).toHaveCount(0);
  await drafts.getByLabel("Leave them out").check();
  await expect(launchButton(page)).toHaveText("Upload 2 products to 4 channels");
  await launchButton(page).click();
  await expect(page.getByText("Accepted.")).toBeVisible();
  expect(await listJobs(page, server)).toMatchObject([{ total: 8 }]);
});

test("a workbook is uploaded from the sheet that has the products", async ({ page, server }) => {
  await signIn(page, server);
  await page.getByLabel(/CSV file/).setInputFiles(WORKBOOK);
  const sheet = page.getByRole("combobox", { name: "Sheet" });
  await expect(sheet).toHaveValue("Hinweise");
  await expect(launchButton(page)).toBeDisabled();
  await sheet.focus();
  await sheet.selectOption("Artikel");
  await expect(launchButton(page)).toHaveText("Upload 3 products to 4 channels");
  await expect(checkResult(page)).toContainText("in the sheet “Artikel”");
  await expect(preview(page).nth(1)).toContainText("1,299.00");
  await expect(preview(page).nth(2)).toContainText("0017");
  await expect(sheet).toBeFocused();
  await launchButton(page).click();
  await expect(page.getByRole("heading", { name: "artikel.xlsx" })).toBeVisible();
  // The same workbook is opened at the sheet that was chosen.
  await page.goto(server.url);
  await page.getByLabel(/CSV file/).setInputFiles(WORKBOOK);
  await expect(sheet).toHaveValue("Artikel");
});

test("left-out rows are downloaded, corrected and uploaded", async ({ page, server }) => {
  await signIn(page, server);
  const rows = ["L-1,Oak lamp,19.90", "L-2,Birch lamp,cheap", "L-3,Brass lamp,39.90"];
  await chooseFile(page, `sku,title,price\n${rows.join("\n")}\n`, "lamps.csv");
  await expect(launchButton(page)).toHaveText("Upload the 2 valid rows");
  await launchButton(page).click();
  const leftOut = page.getByTestId("left-out");
  await expect(leftOut).toContainText("1 of 3 rows");
  const download = page.waitForEvent("download");
  await leftOut.getByRole("link").click();
  const content = readFileSync(await (await download).path(), "utf8");
  expect(content).toContain("L-2,Birch lamp,cheap,");
  expect(content).toContain("not a number");

  await page.goto(server.url);
  await chooseFile(page, content.replace("cheap", "29.90"), "lamps-left-out.csv");
  await expect(launchButton(page)).toHaveText("Upload 1 product to 4 channels");
  await launchButton(page).click();
  await expect(page.getByText("Accepted.")).toBeVisible();
  await expect(page.getByTestId("left-out")).toHaveCount(0);
});

test("an answer that the server does not confirm is not taken for given", async ({ page, server, network }) => {
  await signIn(page, server);
  await chooseFile(page, AMBIGUOUS_PRICES, "prices.csv");
  const choice = page.getByTestId("choice-decimal");
  await expect(choice).toBeVisible();
  network.allowNetworkErrors = true;
  await page.route("**/launch/check", (route) => route.abort("connectionrefused"));
  await choice.getByLabel("1.500 is 1,500.00").check();
  await expect(page.getByTestId("answer-problem")).toContainText("did not answer");
  await expect(launchButton(page)).toBeDisabled();
  await page.unroute("**/launch/check");
  await choice.getByLabel("1.500 is 1,500.00").check();
  await expect(launchButton(page)).toHaveText("Upload 2 products to 4 channels");
  await expect(page.getByTestId("answer-problem")).toHaveCount(0);
});

test.describe("without scripts", () => {
  test("columns are chosen, checked and launched with plain forms", async ({ server, browser }) => {
    const { context, page } = await signInWithoutScripts(browser, server);
    await chooseFile(page, GERMAN_LIST, "artikel.csv");
    await page.getByRole("button", { name: "Upload the file" }).click();
    await expect(page.getByRole("button", { name: "Answer the question above" })).toBeDisabled();
    await page.getByLabel(/^Kürzel/).selectOption("SKU");
    await page.getByLabel(/^Artikel/).selectOption("Title");
    await page.getByLabel(/^EK/).selectOption("Price");
    await page.getByRole("button", { name: "Check again with these answers" }).click();
    await expect(preview(page).first()).toContainText("9.10");
    await columns(page).locator("summary").click();
    // The price is taken off the column that had it.
    await page.getByLabel(/^VK/).selectOption("Price");
    await page.getByRole("button", { name: "Check again with these answers" }).click();
    await expect(preview(page).first()).toContainText("19.90");
    await page.getByRole("button", { name: "Upload 2 products to 4 channels" }).click();
    await expect(page.getByText("Accepted.")).toBeVisible();

    // A remembered choice is shown before anything is uploaded with it.
    await page.goto(server.url);
    await chooseFile(page, GERMAN_LIST, "artikel-neu.csv");
    await page.getByRole("button", { name: "Upload the file" }).click();
    await expect(page.getByTestId("problem")).toContainText("Your team chose");
    await expect(columns(page)).toContainText("Columns as chosen by ada@example.com on");
    expect(await listJobs(page, server)).toHaveLength(1);
    await page.getByRole("button", { name: "Upload 2 products to 4 channels" }).click();
    await expect(page.getByText("Accepted.")).toBeVisible();
    await context.close();
  });

  test("an ambiguous price is decided with plain forms", async ({ server, browser }) => {
    const { context, page } = await signInWithoutScripts(browser, server);
    await chooseFile(page, AMBIGUOUS_PRICES, "prices.csv");
    await page.getByRole("button", { name: "Check the file" }).click();
    await expect(page.getByRole("button", { name: "Answer the question above" })).toBeDisabled();
    await page.getByLabel("1.500 is 1,500.00").check();
    await page.getByRole("button", { name: "Check again with these answers" }).click();
    await expect(preview(page).first()).toContainText("1,500.00");
    await expect(page.getByLabel(/A comma/)).toBeChecked();
    await page.getByRole("button", { name: "Upload 2 products to 4 channels" }).click();
    await expect(page.getByText("Accepted.")).toBeVisible();
    await context.close();
  });
});
