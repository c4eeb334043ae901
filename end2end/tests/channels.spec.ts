// Tests the page of the channels: what admins check, pause and slow down, and what everybody sees.
import type { Page } from "@playwright/test";
import { EMAIL, expect, PASSWORD, type Server, signIn, test } from "../fixtures.ts";
import { expectAccessibleLayout, launchJob, waitForJobEnd } from "../helpers.ts";

const panel = (page: Page, id = "acme") => page.locator(`[data-testid=upstream][data-upstream=${id}]`);
const status = (page: Page) => panel(page).getByTestId("status");

async function openChannels(page: Page, server: Server) {
  await page.goto(`${server.url}/channels`);
  await expect(page.getByTestId("connection")).toHaveText("live");
}

async function pauseAcme(page: Page, note: string) {
  await panel(page)
    .locator("summary", { hasText: /^Pause$/ })
    .click();
  await panel(page).getByLabel("For").selectOption({ label: "1 hour" });
  await panel(page).getByLabel("Why").fill(note);
  await panel(page).getByRole("button", { name: "Pause for everybody" }).click();
  await expect(status(page)).toContainText("Paused until");
}

test("a paused channel keeps its items, which say why, and they finish after it is resumed", async ({
  page,
  server,
}) => {
  await signIn(page, server);
  await page.locator(".nav-rail").getByRole("link", { name: "Channels" }).click();
  await expect(status(page)).toHaveText("Free");
  await expect(panel(page).getByTestId("pace")).toHaveText("38.8 requests per second at most; 40 are allowed");
  await expect(panel(page).getByTestId("queue-summary")).toHaveText("Nothing waits.");
  await pauseAcme(page, "price review");
  await expect(status(page)).toHaveText(
    /^Paused until \d{4}-\d\d-\d\d \d\d:\d\d UTC by ada@example.com: price review$/,
  );
  await expect(page.getByTestId("changes")).toContainText(/ada@example.com paused Acme until .* · just now/);
  await expectAccessibleLayout(page, "channels");

  const job = await launchJob(page, server);
  await expect(panel(page).getByTestId("queue-summary"), "the page refreshes itself").toHaveText("2 items open.");
  await panel(page).getByTestId("queued-job").getByRole("link", { name: "lamps.csv" }).click();
  await expect(page).toHaveURL(`${server.url}/jobs/${job}`);
  await expect(page.getByTestId("cooldown")).toHaveText(/^Acme is paused by ada@example.com until .*: price review$/);
  const cells = page.getByTestId("cell");
  await expect(cells.first()).toContainText("paused by an admin");
  await cells.first().getByRole("link").click();
  await expect(page.locator("aside, [data-testid=details]").first()).toContainText(
    "Paused by ada@example.com: price review.",
  );
  await page.goto(server.url);
  await expect(page.getByLabel(/Acme/).locator("..")).toContainText("paused by ada@example.com until");

  // The job's page follows while the pause ends elsewhere.
  await page.goto(`${server.url}/jobs/${job}`);
  await expect(page.getByTestId("connection")).toHaveText("live");
  const other = await page.context().newPage();
  await openChannels(other, server);
  await panel(other).getByRole("button", { name: "Resume: Acme" }).click();
  await expect(status(other)).not.toContainText("Paused");
  await other.close();
  await waitForJobEnd(page, server, job);
  await expect(cells.first()).toContainText("created");
  await expect(page.getByTestId("cooldown")).toHaveCount(0);
});

test("the pace is changed for everybody, and back to the configured one", async ({ page, server }) => {
  await signIn(page, server);
  await openChannels(page, server);
  const change = async (rate: string) => {
    await panel(page).locator("summary", { hasText: "Change pace" }).click();
    await panel(page).getByLabel("Requests per second, at most 40").fill(rate);
    await panel(page).getByRole("button", { name: "Change for everybody" }).click();
  };
  await change("41");
  await expect(page.getByTestId("problem")).toContainText("The pace has to be 0.2 to 40 requests per second.");
  await change("10");
  await expect(panel(page).getByTestId("pace")).toHaveText(
    "9.7 requests per second at most; 40 are allowed, and 10 since an admin reduced it",
  );
  await expect(page.getByTestId("changes")).toContainText("slowed Acme down to 10 requests per second");
  await page.goto(server.url);
  await expect(page.getByLabel(/Acme/).locator("..")).toContainText("10 per second");
  await openChannels(page, server);
  await panel(page).locator("summary", { hasText: "Change pace" }).click();
  await panel(page).getByRole("button", { name: "Back to 40" }).click();
  await expect(panel(page).getByTestId("pace")).toHaveText("38.8 requests per second at most; 40 are allowed");
});

test("a check says what the service answers, and an open form survives the refresh", async ({ page, server }) => {
  await signIn(page, server);
  await openChannels(page, server);
  await panel(page).getByRole("button", { name: "Check: Acme" }).click();
  await expect(panel(page).getByTestId("last-check")).toHaveText(
    "Checked just now. It answered: the simulated channel is ready",
  );
  await expect(page.getByTestId("connection")).toHaveText("live");
  await panel(page)
    .locator("summary", { hasText: /^Pause$/ })
    .click();
  await panel(page).getByLabel("Why").fill("half of a sente");
  const refreshed = page.waitForResponse((response) => response.url().includes("load_server_page"));
  await launchJob(page, server, "bad.csv", "sku,title,price\nA-SBX-REJECT,Lamp,1.00\n");
  await refreshed;
  await expect(panel(page).getByTestId("error")).toContainText("rejected it");
  await expect(panel(page).getByLabel("Why"), "what was typed stays").toHaveValue("half of a sente");
  await panel(page).getByLabel("Why").press("End");
  await page.keyboard.type("nce");
  await expect(panel(page).getByLabel("Why")).toHaveValue("half of a sentence");
  await panel(page).getByTestId("error").getByRole("link").click();
  await expect(page).toHaveURL(/\/jobs\/.+\?task=/);
});

test("without scripts a channel is paused, resumed and slowed down", async ({ page, server, browser }) => {
  await signIn(page, server);
  const context = await browser.newContext({ javaScriptEnabled: false });
  await context.addCookies(await page.context().cookies());
  const plain = await context.newPage();
  await plain.goto(`${server.url}/channels`);
  await pauseAcme(plain, "stocktaking");
  await panel(plain).getByRole("button", { name: "Resume: Acme" }).click();
  await expect(status(plain)).toHaveText("Free");
  await panel(plain).locator("summary", { hasText: "Change pace" }).click();
  await panel(plain).getByLabel("Requests per second").fill("2,5");
  await panel(plain).getByRole("button", { name: "Change for everybody" }).click();
  await expect(panel(plain).getByTestId("pace")).toContainText("reduced to 2.5 by an admin");
  await context.close();
});

test("a user sees the channels and no actions", async ({ page, server, browser }) => {
  await signIn(page, server);
  await page.goto(`${server.url}/people`);
  await page.getByLabel("Email").fill("bob@example.com");
  await page.getByRole("button", { name: "Create the link" }).click();
  const link = await page.getByTestId("one-time-link").inputValue();
  const bob = await (await browser.newContext()).newPage();
  await bob.goto(link);
  await bob.getByLabel(/^Password/).fill("bobs-password");
  await bob.getByRole("button", { name: "Create the account" }).click();
  await expect(bob).toHaveURL(`${server.url}/`);
  await openChannels(page, server);
  await pauseAcme(page, "price review");
  await launchJob(page, server, "adas-secret.csv");
  await openChannels(bob, server);
  await expect(status(bob)).toContainText("price review");
  await expect(panel(bob).getByTestId("queue-summary")).toHaveText("2 items of others open.");
  await expect(panel(bob).getByTestId("queued-job")).toHaveCount(0);
  await expect(panel(bob).getByRole("button")).toHaveCount(0);
  await expect(bob.getByTestId("changes")).toHaveCount(0);
  for (const what of ["pause", "resume", "pace", "check"]) {
    const answer = await bob.request.post(`${server.url}/channels/acme/${what}`, {
      headers: { origin: server.url },
      form: { for: "1h" },
    });
    expect(answer.status(), what).toBe(404);
  }
  await bob.context().close();
});

test.describe("with a forged request", () => {
  test.use({ settings: { MEANWHILE_ADMIN_EMAIL: EMAIL, MEANWHILE_ADMIN_PASSWORD: PASSWORD } });

  test("another site pauses nothing", async ({ page, server }) => {
    await signIn(page, server);
    const answer = await page.request.post(`${server.url}/channels/acme/pause`, {
      headers: { origin: "https://evil.example" },
      form: { for: "1h" },
    });
    expect(answer.status()).toBe(403);
    await openChannels(page, server);
    await expect(status(page)).toHaveText("Free");
  });
});
