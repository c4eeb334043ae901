// Tests the page for those who run the system.
import { EMAIL, expect, PASSWORD, signIn, test } from "../fixtures.ts";
import { expectAccessibleLayout, launchJob, waitForJobEnd } from "../helpers.ts";

test.use({
  settings: {
    MEANWHILE_ADMIN_EMAIL: EMAIL,
    MEANWHILE_ADMIN_PASSWORD: PASSWORD,
    MEANWHILE_SANDBOX_SPEED: "2",
  },
});

const section = (page: import("@playwright/test").Page, id: string) => page.getByTestId(id);

test("admins see what waits, runs and failed, of everybody, and who did what", async ({ page, server, browser }) => {
  await signIn(page, server);
  await page.getByRole("link", { name: "People" }).click();
  await page.getByLabel("Email").fill("bob@example.com");
  await page.getByRole("button", { name: "Create the link" }).click();
  const link = await page.getByTestId("one-time-link").inputValue();
  const bob = await (await browser.newContext()).newPage();
  await bob.goto(link);
  await bob.getByLabel(/^Password/).fill("bobs-password");
  await bob.getByRole("button", { name: "Create the account" }).click();
  await expect(bob).toHaveURL(`${server.url}/`);

  await page.getByRole("link", { name: "Operations" }).click();
  await expect(page.getByRole("heading", { name: "Operations", level: 1 })).toBeVisible();
  await expect(page.getByText("Nothing waits and nothing runs.")).toBeVisible();
  await expect(page.getByText("No attempt has failed.")).toBeVisible();
  await expect(section(page, "parts")).toContainText("Database (SQLite)upAnswered in");
  await expect(page.getByTestId("part").filter({ hasText: "Acme" })).toHaveAttribute("data-up", "up");
  // A worker that holds nothing is listed too.
  await expect(page.getByTestId("worker")).toHaveCount(1);
  await expect(page.getByTestId("worker")).toContainText("running for");
  await expect(page.getByTestId("connection")).toHaveText("live");
  const rows = Array.from({ length: 400 }, (_, n) => `B-${n},Lamp,9.90`).join("\n");
  const job = await launchJob(bob, server, "bobs-lamps.csv", `sku,title,price\nB-SBX-REJECT,Lamp,1.00\n${rows}\n`);
  // The page follows without being loaded again.
  await expect(section(page, "running-jobs")).toContainText("bobs-lamps.csvbob@example.com");
  await expect(section(page, "queues")).toContainText("meanwhile.q.product.upload.acme.v1");
  await expect(section(page, "workers").locator("tbody tr")).toHaveCount(1);
  await expect(section(page, "failures")).toContainText("rejected it");
  await expect(section(page, "audit")).toContainText("bob@example.com launched bobs-lamps.csv (401 items)");
  await expectAccessibleLayout(page, "operations");
  await bob.request.post(`${server.url}/api/v1/jobs/${job}/cancel`, { headers: { origin: server.url } });
  await waitForJobEnd(bob, server, job);
  await expect(page.getByText("Nothing waits and nothing runs.")).toBeVisible();
  await expect(section(page, "audit")).toContainText("bob@example.com cancelled bobs-lamps.csv");

  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download all of them" }).click();
  const stream = await (await download).createReadStream();
  const csv = (await stream.toArray()).join("");
  expect(csv.split("\r\n")[0]).toBe("time,who,what,about,before,after,why");
  expect(csv).toContain(",ada@example.com,user.invited,bob@example.com,,user,");
  expect(csv).toContain(`,bob@example.com,job.launched,${job},`);

  await bob.goto(`${server.url}/operations`);
  await expect(bob.getByRole("heading", { name: "There is nothing here" })).toBeVisible();
  expect((await bob.request.get(`${server.url}/operations/audit.csv`)).status()).toBe(404);
  await bob.context().close();
});
