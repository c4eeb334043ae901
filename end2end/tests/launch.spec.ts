import { csvFile, EMAIL, expect, PASSWORD, signIn, test, uploadFile } from "../fixtures.ts";

const CSV = "sku,title,price\nA-1,Lamp,19.90\nA-2,Chair,29.90\nA-3,Rug,9.90\n";

// Slow enough that a stall of the machine brings no two requests too close together, and that jobs are still running
// when they are paused and cancelled.
test.use({
  settings: {
    MEANWHILE_ADMIN_EMAIL: EMAIL,
    MEANWHILE_ADMIN_PASSWORD: PASSWORD,
    MEANWHILE_SANDBOX_SPEED: "2",
  },
});

test("a launched batch updates live until it is done, and a toast announces it", async ({ page, server }) => {
  await signIn(page, server);
  await uploadFile(page, CSV);
  await expect(page.getByText("Accepted. You can leave this page")).toBeVisible();
  await expect(page.getByTestId("connection")).toHaveText("live");
  await expect(page.getByTestId("cell")).toHaveCount(12);
  const loads: string[] = [];
  page.on("framenavigated", (frame) => loads.push(frame.url()));
  await expect(page.getByTestId("job-state")).toHaveText("Succeeded");
  await expect(page.locator('[data-testid=cell][data-state="succeeded"]')).toHaveCount(12);
  await expect(page.getByTestId("toast")).toContainText("three.csv is done");
  await expect(page.getByTestId("unread-count")).toHaveText("1");
  expect(loads, "the page updates without a reload").toEqual([]);

  const ledger = await server.ledger();
  for (const channel of ["acme", "bazaar", "corner", "depot"]) {
    expect(ledger[channel], channel).toMatchObject({ over_limit: 0, duplicate_effects: 0, effects: 3 });
  }
});

test("a user who leaves misses nothing, and two browsers show the same", async ({ page, server, browser }) => {
  await signIn(page, server);
  await uploadFile(page, CSV);
  await expect(page.getByTestId("cell")).toHaveCount(12);
  const job = page.url();
  await page.goto("about:blank");

  const otherPage = await (await browser.newContext()).newPage();
  await signIn(otherPage, server);
  await otherPage.goto(job);
  await expect(otherPage.getByTestId("job-state")).toHaveText("Succeeded");
  await page.goto(job);
  await expect(page.getByTestId("job-state")).toHaveText("Succeeded");
  await expect(page.getByTestId("counts")).toHaveText("12 of 12 finished · 12 uploaded (12 created)");
  await otherPage.context().close();
});

test.describe("at a higher speed", () => {
  // Slow enough that the job is still running when the server is killed, and fast enough to wait for its end.
  test.use({
    settings: {
      MEANWHILE_ADMIN_EMAIL: EMAIL,
      MEANWHILE_ADMIN_PASSWORD: PASSWORD,
      MEANWHILE_SANDBOX_SPEED: "8",
    },
  });

  test("a page survives the kill and restart of the server", async ({ page, server, network }) => {
    network.allowNetworkErrors = true;
    await signIn(page, server);
    await page.getByRole("button", { name: "Upload the sample of 150" }).click();
    await expect(page.getByTestId("connection")).toHaveText("live");
    await expect(page.locator('[data-testid=cell][data-state="succeeded"]').first()).toBeVisible();
    await server.kill();
    await expect(page.getByTestId("connection")).not.toHaveText("live");
    await server.start();
    await expect(page.getByTestId("connection")).toHaveText("live", { timeout: 60_000 });
    await expect(page.getByTestId("counts")).toHaveText(/^600 of 600 finished · 600 uploaded/, { timeout: 120_000 });
    await expect(page.locator('[data-testid=cell]:not([data-state="succeeded"])')).toHaveCount(0);
  });
});

test("a job can be paused, resumed and cancelled", async ({ page, server }) => {
  await signIn(page, server);
  await page.getByRole("button", { name: "Upload the sample of 150" }).click();
  await page.getByRole("button", { name: "Pause" }).click();
  await expect(page.getByTestId("job-state")).toHaveText("Paused");
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(page.getByTestId("job-state")).toHaveText("Running");
  await page.locator("summary", { hasText: "Cancel" }).click();
  await page.getByRole("button", { name: "Cancel this job" }).click();
  await expect(page.getByTestId("job-state")).toHaveText("Cancelled");
  await page.getByRole("button", { name: /^Launch \d+ cancelled items? again$/ }).click();
  await expect(page.getByTestId("job-state")).toHaveText("Running");
});

test("a rejected item is sent again without a second effect", async ({ page, server }) => {
  await signIn(page, server);
  const content = `${CSV}B-SBX-REJECT,Odd lamp,5.00\n`;
  await uploadFile(page, content);
  await expect(page.getByTestId("job-state")).toHaveText("Partly failed");
  await expect(page.locator('[data-testid=cell][data-state="rejected"]')).toHaveCount(4);
  const before = await server.ledger();
  await page.locator('[data-testid=cell][data-state="rejected"] a').first().click();
  await page.getByRole("button", { name: "Send it unchanged again" }).click();
  await expect(page.getByTestId("job-state")).toHaveText("Partly failed");
  const after = await server.ledger();
  expect(after.acme?.effects).toBe(before.acme?.effects);
});

test.describe("on the first visit", () => {
  test.use({ settings: {} });

  test("the first account can be created without scripts", async ({ server, browser }) => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(server.url);
    await expect(page).toHaveURL(`${server.url}/setup`);
    await page.getByLabel("Email").fill(EMAIL);
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Create the account" }).click();
    await expect(page).toHaveURL(`${server.url}/`);
    await page.getByLabel(/CSV file/).setInputFiles(csvFile(CSV));
    await page.getByTestId("upload-button").click();
    await expect(page.getByTestId("cell")).toHaveCount(12);
    await context.close();
  });
});
