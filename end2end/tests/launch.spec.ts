import { EMAIL, PASSWORD, csv, expect, signIn, test, upload } from "../fixtures.ts";

const CSV = "sku,title,price\nA-1,Lamp,19.90\nA-2,Chair,29.90\nA-3,Rug,9.90\n";

test("a batch is launched, watched live to its end, and told", async ({ page, server }) => {
  await signIn(page, server);
  await upload(page, CSV);
  await expect(page.getByText("Accepted. You can leave this page")).toBeVisible();
  await expect(page.getByTestId("connection")).toHaveText("live");
  await expect(page.getByTestId("cell")).toHaveCount(9);
  const loads: string[] = [];
  page.on("framenavigated", (frame) => loads.push(frame.url()));
  await expect(page.getByTestId("job-state")).toHaveText("Succeeded");
  await expect(page.locator('[data-testid=cell][data-state="succeeded"]')).toHaveCount(9);
  await expect(page.getByTestId("toast")).toContainText("three.csv is done");
  await expect(page.getByTestId("bell-count")).toHaveText("1");
  expect(loads, "the page was told; it was not loaded again").toEqual([]);

  const ledger = await server.ledger();
  for (const channel of ["acme", "bazaar", "corner"]) {
    expect(ledger[channel], channel).toMatchObject({ over: 0, duplicate_effects: 0, effects: 3 });
  }
});

test("whoever leaves misses nothing, and two browsers are in step", async ({ page, server, browser }) => {
  await signIn(page, server);
  await upload(page, CSV);
  await expect(page.getByTestId("cell")).toHaveCount(9);
  const job = page.url();
  await page.goto("about:blank");

  const elsewhere = await (await browser.newContext()).newPage();
  await signIn(elsewhere, server);
  await elsewhere.goto(job);
  await expect(elsewhere.getByTestId("job-state")).toHaveText("Succeeded");
  await page.goto(job);
  await expect(page.getByTestId("job-state")).toHaveText("Succeeded");
  await expect(page.getByTestId("counts")).toHaveText("9 of 9 done");
  await elsewhere.context().close();
});

test("a page lives through the server's kill and restart", async ({ page, server, network }) => {
  network.mayFail = true;
  await signIn(page, server);
  await page.getByRole("button", { name: "Upload the sample of 150" }).click();
  await expect(page.getByTestId("connection")).toHaveText("live");
  await expect(page.locator('[data-testid=cell][data-state="succeeded"]').first()).toBeVisible();
  await server.kill();
  await expect(page.getByTestId("connection")).not.toHaveText("live");
  await server.start();
  await expect(page.getByTestId("connection")).toHaveText("live", { timeout: 30_000 });
  await expect(page.getByTestId("counts")).toHaveText("450 of 450 done", { timeout: 45_000 });
  await expect(page.locator('[data-testid=cell]:not([data-state="succeeded"])')).toHaveCount(0);
});

test("a job is paused, resumed and cancelled", async ({ page, server }) => {
  await signIn(page, server);
  await page.getByRole("button", { name: "Upload the sample of 150" }).click();
  await page.getByRole("button", { name: "Pause" }).click();
  await expect(page.getByTestId("job-state")).toHaveText("Paused");
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(page.getByTestId("job-state")).toHaveText("Running");
  await page.locator("summary", { hasText: "Cancel" }).click();
  await page.getByRole("button", { name: "Cancel this job" }).click();
  await expect(page.getByTestId("job-state")).toHaveText("Cancelled");
});

test("only what failed is retried", async ({ page, server }) => {
  await signIn(page, server);
  const content = `${CSV}B-SBX-REJECT,Odd lamp,5.00\n`;
  await upload(page, content);
  await expect(page.getByTestId("job-state")).toHaveText("Partly failed");
  await expect(page.locator('[data-testid=cell][data-state="failed"]')).toHaveCount(3);
  const before = await server.ledger();
  await page.getByRole("button", { name: "Retry failed" }).click();
  await expect(page.getByTestId("job-state")).toHaveText("Partly failed");
  const after = await server.ledger();
  expect(after.acme?.effects).toBe(before.acme?.effects);
});

test.describe("on the first visit", () => {
  test.use({ settings: {} });

  test("the first account is made, without scripts too", async ({ server, browser }) => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(server.url);
    await expect(page).toHaveURL(`${server.url}/setup`);
    await page.getByLabel("Email").fill(EMAIL);
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Make the account" }).click();
    await expect(page).toHaveURL(`${server.url}/`);
    await page.getByLabel(/CSV file/).setInputFiles(csv(CSV));
    await page.getByTestId("launch").click();
    await expect(page.getByTestId("cell")).toHaveCount(9);
    await context.close();
  });
});
