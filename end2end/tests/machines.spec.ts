import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { csv, expect, signIn, test } from "../fixtures.ts";

const machine = (page: Page, name: string) => page.locator(`[data-testid=machine][data-machine="${name}"]`);

test("machines are started, seen running, and get their alarms", async ({ page, server, browser }) => {
  await signIn(page, server);
  await page.getByRole("link", { name: "Machines", exact: true }).click();
  await expect(page.getByTestId("machine")).toHaveCount(8);
  await expect(machine(page, "web-1")).toContainText("running");
  await expect(machine(page, "web-1").getByRole("checkbox")).toBeDisabled();
  await expect(machine(page, "web-2")).toContainText("stopped");
  await expect(machine(page, "web-2")).toContainText("t3.medium · eu-central-1b");

  const elsewhere = await (await browser.newContext()).newPage();
  await signIn(elsewhere, server);
  await elsewhere.goto(`${server.url}/machines`);
  await expect(elsewhere.getByTestId("connection")).toHaveText("live");

  for (const name of ["web-2", "batch-1"]) await machine(page, name).getByRole("checkbox").check();
  await page.getByRole("button", { name: "Start 2 machines" }).click();
  await expect(page.getByText("Accepted. You can leave this page")).toBeVisible();
  await expect(page.getByTestId("job-state")).toHaveText("Succeeded", { timeout: 30_000 });
  await expect(page.getByTestId("counts")).toHaveText("4 of 4 done");
  for (const name of ["web-2", "batch-1"]) {
    await expect(machine(elsewhere, name), "told, not loaded again").toHaveAttribute("data-state", "running");
    await expect(machine(elsewhere, name)).toContainText("Start done, alarm done");
  }
  await page.getByRole("link", { name: "Machines", exact: true }).click();
  await expect(machine(page, "web-2")).toHaveAttribute("data-state", "running");
  await expect(machine(page, "web-2").getByRole("link")).toHaveText("Start done, alarm done");
  expect(await server.ledger()).toMatchObject({ ec2: { over: 0 }, cloudwatch: { effects: 2, over: 0 } });
  await elsewhere.context().close();
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

  test("no capacity is retried, and what is not allowed fails with its reason", async ({ page, server }) => {
    await signIn(page, server);
    for (const name of ["images-1", "ledger-1"]) await machine(page, name).getByRole("checkbox").check();
    await page.getByRole("button", { name: "Start 2 machines" }).click();
    await expect(page.getByTestId("job-state")).toHaveText("Partly failed", { timeout: 45_000 });
    await page.goto(`${server.url}/machines`);
    await expect(machine(page, "images-1")).toContainText("Start done, alarm done");
    await expect(machine(page, "ledger-1")).toContainText("Start failed: EC2: You are not authorized");
    await machine(page, "images-1").getByRole("link").click();
    await page.getByRole("link", { name: /images-1|i-0a1b2c3d4e5f60007/ }).first().click();
    await expect(page.getByTestId("attempt").first()).toContainText("sufficient g5.xlarge capacity");
  });
});

test("without scripts machines are started, and nothing ticked is told", async ({ server, browser }) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, server);
  await page.goto(`${server.url}/machines`);
  await page.getByRole("button", { name: "Start machines" }).click();
  await expect(page.getByTestId("problem")).toHaveText("Choose at least one machine.");
  await machine(page, "web-2").getByRole("checkbox").check();
  await page.getByRole("button", { name: "Start machines" }).click();
  await expect(page.getByText("Accepted.")).toBeVisible();
  await expect(page.getByRole("heading", { name: "Start web-2" })).toBeVisible();
  await context.close();
});

test.describe("at EC2's own pace", () => {
  test.use({
    settings: {
      MEANWHILE_ADMIN_EMAIL: "ada@example.com",
      MEANWHILE_ADMIN_PASSWORD: "correct-horse-battery",
      MEANWHILE_SANDBOX_SPEED: "1",
    },
  });

  test("an account whose limit others spend says so, and comes back at a press", async ({ page, server }) => {
    await signIn(page, server);
    // Somebody else's programs use up the account's limit.
    const describe = () =>
      fetch(`http://127.0.0.1:${server.sandboxPort}/ec2`, {
        method: "POST",
        headers: { "Content-Type": "application/x-www-form-urlencoded" },
        body: "Action=DescribeInstances&Version=2016-11-15",
      });
    const others = setInterval(() => void describe().catch(() => {}), 15);
    const problem = page.getByTestId("machines-problem");
    await expect(async () => {
      await page.goto(`${server.url}/machines`);
      await expect(problem).toBeVisible({ timeout: 500 });
    }).toPass({ timeout: 30_000 });
    await expect(problem).toHaveText("EC2 is busy with other calls of this account. Try again in some seconds.");
    const { violations } = await new AxeBuilder({ page }).analyze();
    expect(violations.map((violation) => violation.id)).toEqual([]);
    clearInterval(others);
    await expect(async () => {
      await page.getByRole("link", { name: "Refresh" }).click();
      await expect(page.getByTestId("machine")).toHaveCount(8, { timeout: 1_000 });
    }).toPass({ timeout: 30_000 });
    await page.goto(server.url);
    await page.getByLabel(/CSV file/).setInputFiles(csv("sku,title,price\nA-1,Lamp,1\n"));
    await expect(page.getByTestId("launch"), "the rest of the page does not wait for EC2").toHaveText(/1 product/);
  });
});

test("a script that reads machines often spends no more than its pace", async ({ page, server }) => {
  await signIn(page, server);
  for (let n = 0; n < 40; n += 1) {
    const answer = await page.request.get(`${server.url}/api/v1/instances`);
    expect(answer.status()).toBe(200);
    expect((await answer.json()).items).toHaveLength(8);
  }
  const ledger = (await (await fetch(`http://127.0.0.1:${server.sandboxPort}/ledger`)).json()) as {
    ec2: { requests: { over: boolean }[] };
  };
  expect(ledger.ec2.requests.length, "most are answered from what is known").toBeLessThan(8);
  expect(ledger.ec2.requests.filter((request) => request.over)).toEqual([]);
});
