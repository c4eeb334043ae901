import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { csvFile, expect, signIn, test } from "../fixtures.ts";
import { expectAccessibleLayout } from "../helpers.ts";

const machineRow = (page: Page, name: string) => page.locator(`[data-testid=machine][data-machine="${name}"]`);

test("started machines are shown as running, and get their alarms", async ({ page, server, browser }) => {
  await signIn(page, server);
  await page.getByRole("link", { name: "Machines", exact: true }).click();
  await expect(page.getByTestId("machine")).toHaveCount(8);
  await expect(machineRow(page, "web-1")).toContainText("running");
  await expect(machineRow(page, "web-1").getByRole("checkbox")).toBeEnabled();
  await expect(machineRow(page, "web-2")).toContainText("stopped");
  await expect(machineRow(page, "web-2")).toContainText("t3.medium · eu-central-1b");

  const otherPage = await (await browser.newContext()).newPage();
  await signIn(otherPage, server);
  await otherPage.goto(`${server.url}/machines`);
  await expect(otherPage.getByTestId("connection")).toHaveText("live");

  for (const name of ["web-2", "batch-1"]) await machineRow(page, name).getByRole("checkbox").check();
  await page.getByRole("button", { name: "Start 2 machines" }).click();
  await expect(page.getByText("Accepted. You can leave this page")).toBeVisible();
  await expect(page.getByTestId("job-state")).toHaveText("Succeeded");
  await expect(page.getByTestId("counts")).toHaveText("4 of 4 finished · 4 done");
  for (const name of ["web-2", "batch-1"]) {
    await expect(machineRow(otherPage, name), "updated without a reload").toHaveAttribute("data-state", "running");
    await expect(machineRow(otherPage, name)).toContainText("Start done, alarm done");
  }
  await page.getByRole("link", { name: "Machines", exact: true }).click();
  await expect(machineRow(page, "web-2")).toHaveAttribute("data-state", "running");
  await expect(machineRow(page, "web-2").getByRole("link")).toHaveText("Start done, alarm done");
  expect(await server.ledger()).toMatchObject({ ec2: { over_limit: 0 }, cloudwatch: { effects: 2, over_limit: 0 } });
  await otherPage.context().close();
});

test.describe("with faults", () => {
  test.use({
    settings: {
      MEANWHILE_ADMIN_EMAIL: "ada@example.com",
      MEANWHILE_ADMIN_PASSWORD: "correct-horse-battery",
      MEANWHILE_SANDBOX_FAULTS: "true",
      MEANWHILE_SANDBOX_SEED: "7",
    },
  });

  test("missing capacity is retried, and an unauthorized start fails with its reason", async ({ page, server }) => {
    await signIn(page, server);
    for (const name of ["images-1", "ledger-1"]) await machineRow(page, name).getByRole("checkbox").check();
    await page.getByRole("button", { name: "Start 2 machines" }).click();
    await expect(page.getByTestId("job-state")).toHaveText("Partly failed", { timeout: 90_000 });
    await page.goto(`${server.url}/machines`);
    await expect(machineRow(page, "images-1")).toContainText("Start done, alarm done");
    await expect(machineRow(page, "ledger-1")).toContainText(
      "Start failed: The account “sandbox” may not call ec2:StartInstances",
    );
    await machineRow(page, "images-1").getByRole("link").click();
    await page
      .getByRole("link", { name: /images-1|i-0a1b2c3d4e5f60007/ })
      .first()
      .click();
    await expect(page.getByTestId("attempt").first()).toContainText("sufficient g5.xlarge capacity");
  });
});

test("without scripts, machines can be started, and an empty selection is reported", async ({ server, browser }) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, server);
  await page.goto(`${server.url}/machines`);
  await page.getByRole("button", { name: "Start machines" }).click();
  await expect(page.getByTestId("problem")).toHaveText("Choose at least one machine.");
  await machineRow(page, "web-2").getByRole("checkbox").check();
  await page.getByRole("button", { name: "Start machines" }).click();
  await expect(page.getByText("Accepted.")).toBeVisible();
  await expect(page.getByRole("heading", { name: "Start web-2" })).toBeVisible();
  await context.close();
});

test("pasted ids are started, after a question about those that the account does not have", async ({
  page,
  server,
  network,
}) => {
  network.allowRejectedForms = true;
  await signIn(page, server);
  await page.goto(`${server.url}/machines`);
  const ids = page.getByLabel("Or paste ids");
  await ids.fill("i-0a1b2c3d4e5f60002, web-server-01");
  await page.getByRole("button", { name: "Start machines" }).click();
  await expect(page.getByTestId("problem")).toContainText("“web-server-01” is not the id of a machine");
  await expect(ids, "what was pasted can be corrected").toHaveValue("i-0a1b2c3d4e5f60002, web-server-01");
  await ids.fill("i-0a1b2c3d4e5f60002\ni-0000000000000dead");
  await page.getByRole("button", { name: "Start machines" }).click();
  const question = page.getByTestId("machine-question");
  await expect(question.getByRole("heading")).toHaveText("Start it anyway?");
  await expect(question).toContainText("i-0000000000000dead is not among the machines of the configured accounts.");
  await expect(ids, "what was pasted can be corrected").toHaveValue(/i-0000000000000dead/);
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.map((violation) => violation.id)).toEqual([]);
  await question.getByRole("button", { name: "Leave it out" }).click();
  await expect(page.getByRole("heading", { name: /^Start (web-2|i-0a1b2c3d4e5f60002)$/ })).toBeVisible();
});

test("the list is filtered by its URL, and the words say what can be done", async ({ page, server }) => {
  await signIn(page, server);
  await page.goto(`${server.url}/machines`);
  const summary = page.getByTestId("machine-summary");
  await expect(summary).toContainText("8 machines: 7 can start, 1 can stop.");
  await page.getByRole("navigation", { name: "By state" }).getByRole("link", { name: "Running 1" }).click();
  await expect(page).toHaveURL(`${server.url}/machines?state=running`);
  await expect(page.getByTestId("machine")).toHaveCount(1);
  await expect(summary).toContainText("1 of 8 machines: 1 can stop.");
  await page.getByRole("searchbox", { name: "Search by name or id" }).fill("BATCH");
  await page.keyboard.press("Enter");
  await expect(page.getByText("No machines match.")).toBeVisible();
  await page.getByRole("link", { name: "All 2" }).click();
  await expect(page).toHaveURL(`${server.url}/machines?q=BATCH`);
  await expect(page.getByTestId("machine")).toHaveCount(2);
  await page.goBack();
  await expect(page.getByText("No machines match.")).toBeVisible();
  await page.getByRole("link", { name: "Show all machines" }).click();
  await expect(page.getByTestId("machine")).toHaveCount(8);
});

test("all machines that match are started, and the button says how many", async ({ page, server }) => {
  await signIn(page, server);
  await page.goto(`${server.url}/machines?q=batch`);
  await page.getByRole("link", { name: "Select all 2 machines" }).click();
  await expect(page).toHaveURL(/select=all/);
  await expect(machineRow(page, "batch-1").getByRole("checkbox")).toBeChecked();
  await expect(machineRow(page, "batch-1").getByRole("checkbox"), "cleared as a whole").toBeDisabled();
  await page.getByRole("link", { name: "Clear the selection" }).click();
  await expect(machineRow(page, "batch-1").getByRole("checkbox")).not.toBeChecked();
  await page.goBack();
  await expectAccessibleLayout(page, "all machines selected");
  await page.getByRole("button", { name: "Start 2 machines" }).click();
  await expect(page.getByRole("heading", { name: "Start 2 machines" })).toBeVisible();
  await expect(page.getByTestId("job-state")).toHaveText("Succeeded");
});

test("a stop is confirmed by keyboard, and the page follows it live", async ({ page, server, browser }) => {
  await signIn(page, server);
  const otherPage = await (await browser.newContext()).newPage();
  await signIn(otherPage, server);
  await otherPage.goto(`${server.url}/machines`);
  await expect(otherPage.getByTestId("connection")).toHaveText("live");
  await page.goto(`${server.url}/machines`);
  await expect(page.getByTestId("connection")).toHaveText("live");
  await machineRow(page, "web-1").getByRole("checkbox").focus();
  await page.keyboard.press("Space");
  await expect(page.getByRole("button", { name: "Start 0 machines" })).toBeDisabled();
  await page.getByRole("button", { name: "Stop 1 machine", exact: true }).focus();
  await page.keyboard.press("Enter");
  const question = page.getByTestId("machine-question");
  await expect(question.getByRole("heading", { name: "Stop web-1?" })).toBeFocused();
  await expect(question).toContainText("interrupts everyone");
  await expectAccessibleLayout(page, "stop question");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await expect(page, "Cancel leads back").toHaveURL(/\/machines\?pasted=i%2D/);
  await expect(page.getByLabel("Or paste ids"), "with what was selected").toHaveValue(/^i-\w+$/);
  // Hydration may put back what the server sent.
  await expect(page.getByTestId("connection")).toHaveText("live");
  await page.getByLabel("Or paste ids").clear();
  await expect(machineRow(page, "web-1")).toHaveAttribute("data-state", "running");

  await machineRow(page, "web-1").getByRole("checkbox").check();
  await page.getByRole("button", { name: "Stop 1 machine", exact: true }).click();
  await question.getByRole("button", { name: "Stop 1 machine" }).click();
  await expect(page.getByRole("heading", { name: "Stop web-1" })).toBeVisible();
  await expect(machineRow(otherPage, "web-1"), "updated without a reload").toHaveAttribute("data-state", "stopped");
  await expect(machineRow(otherPage, "web-1")).toContainText("Stop done");
  expect(await server.ledger()).toMatchObject({ ec2: { effects: 1 } });
  await otherPage.context().close();
});

test("without scripts, all that match are stopped after a question", async ({ server, browser }) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, server);
  await page.goto(`${server.url}/machines`);
  await page.getByRole("link", { name: "Running 1" }).click();
  await page.getByRole("link", { name: "Select it" }).click();
  await page.getByRole("button", { name: "Stop 1 machine" }).click();
  await expect(page.getByRole("heading", { name: "Stop web-1?" })).toBeVisible();
  await page.getByRole("button", { name: "Stop 1 machine" }).click();
  await expect(page.getByRole("heading", { name: "Stop web-1" })).toBeVisible();
  await context.close();
});

test.describe("at EC2's own rate", () => {
  test.use({
    settings: {
      MEANWHILE_ADMIN_EMAIL: "ada@example.com",
      MEANWHILE_ADMIN_PASSWORD: "correct-horse-battery",
      MEANWHILE_SANDBOX_SPEED: "1",
    },
  });

  test("the page says when other programs use up the account's rate limit, and recovers on Refresh", async ({
    page,
    server,
  }) => {
    await signIn(page, server);
    // Other programs use up the account's rate limit.
    const describe = () =>
      fetch(`http://127.0.0.1:${server.sandboxPort}/ec2`, {
        method: "POST",
        headers: { "Content-Type": "application/x-www-form-urlencoded" },
        body: "Action=DescribeInstances&Version=2016-11-15",
      });
    const competingCalls = setInterval(() => void describe().catch(() => {}), 15);
    const problem = page.getByTestId("machines-problem");
    await expect(async () => {
      await page.goto(`${server.url}/machines`);
      await expect(problem).toBeVisible({ timeout: 2_000 });
    }).toPass({ timeout: 120_000 });
    await expect(problem).toHaveText("EC2 is busy with other calls of this account. Try again in some seconds.");
    const { violations } = await new AxeBuilder({ page }).analyze();
    expect(violations.map((violation) => violation.id)).toEqual([]);
    clearInterval(competingCalls);
    await expect(async () => {
      await page.getByRole("link", { name: "Refresh" }).click();
      await expect(page.getByTestId("machine")).toHaveCount(8, { timeout: 8_000 });
    }).toPass({ timeout: 120_000 });
    await page.goto(server.url);
    await page.getByLabel(/CSV file/).setInputFiles(csvFile("sku,title,price\nA-1,Lamp,1\n"));
    await expect(page.getByTestId("upload-button"), "the rest of the page does not wait for EC2").toHaveText(
      /1 product/,
    );
  });
});

test("a script that often reads machines stays within the rate limit", async ({ page, server }) => {
  await signIn(page, server);
  for (let n = 0; n < 40; n += 1) {
    const response = await page.request.get(`${server.url}/api/v1/instances`);
    expect(response.status()).toBe(200);
    expect((await response.json()).items).toHaveLength(8);
  }
  const ledger = (await (await fetch(`http://127.0.0.1:${server.sandboxPort}/ledger`)).json()) as {
    ec2: { requests: { over_limit: boolean }[] };
  };
  expect(ledger.ec2.requests.length, "most responses come from the cache").toBeLessThan(8);
  expect(ledger.ec2.requests.filter((request) => request.over_limit)).toEqual([]);
});
