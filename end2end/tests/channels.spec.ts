// Tests the page of the channels: what admins check, pause and slow down, and what everybody sees.
import type { Page } from "@playwright/test";
import { EMAIL, expect, PASSWORD, type Server, signIn, test } from "../fixtures.ts";
import { expectAccessibleLayout, launchJob, waitForJobEnd } from "../helpers.ts";

const panel = (page: Page, id = "acme") => page.locator(`[data-testid=upstream][data-upstream=${id}]`);
const ALLOWED_PACE = "Sends at most 38.8 requests per second, a little less than the 40 allowed";
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
  await expect(page.getByTestId("changes"), "nobody has changed anything").toHaveCount(0);
  await expect(panel(page).getByTestId("pace")).toHaveText(ALLOWED_PACE);
  await expect(panel(page).getByTestId("queue-summary")).toHaveText("Nothing waits.");
  await pauseAcme(page, "price review");
  await expect(status(page)).toHaveText(
    /^Paused until \d{4}-\d\d-\d\d \d\d:\d\d UTC by ada@example.com: price review$/,
  );
  await expect(panel(page).getByTestId("pace")).toHaveText(
    "Sends no new requests for now; 40 requests per second are allowed",
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
  await panel(page).locator("summary", { hasText: "Change pace" }).click();
  const change = async (rate: string) => {
    await panel(page).getByLabel("Requests per second, at most 40").fill(rate);
    await panel(page).getByRole("button", { name: "Change for everybody" }).click();
  };
  await change("41");
  await expect(page.getByTestId("problem")).toContainText("The pace has to be 0.2 to 40 requests per second.");
  await change("10");
  await expect(panel(page).getByTestId("pace")).toHaveText(
    "Sends at most 9.7 requests per second: reduced to 10 by an admin; 40 are allowed",
  );
  await expect(page.getByTestId("changes")).toContainText("slowed Acme down to 10 requests per second");
  await page.goto(server.url);
  await expect(page.getByLabel(/Acme/).locator("..")).toContainText("10 per second");
  await openChannels(page, server);
  await panel(page).locator("summary", { hasText: "Change pace" }).click();
  await panel(page).getByRole("button", { name: "Back to 40" }).click();
  await expect(panel(page).getByTestId("pace")).toHaveText(ALLOWED_PACE);
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

test("an open form keeps what is typed while another admin pauses and resumes", async ({ page, server }) => {
  await signIn(page, server);
  await openChannels(page, server);
  const other = await page.context().newPage();
  await openChannels(other, server);
  await panel(page)
    .locator("summary", { hasText: /^Pause$/ })
    .click();
  const why = panel(page).getByLabel("Why");
  await why.fill("half of a sentence");
  await pauseAcme(other, "price review");
  await expect(status(page)).toContainText("price review");
  await expect(why).toBeVisible();
  await expect(why).toHaveValue("half of a sentence");
  await expect(why, "the focus stays").toBeFocused();

  await panel(page).locator("summary", { hasText: "Change pace" }).click();
  const rate = panel(page).getByLabel("Requests per second, at most 40");
  await rate.fill("7.25");
  await panel(other).getByRole("button", { name: "Resume: Acme" }).click();
  await expect(status(page)).toHaveText("Free");
  await expect(panel(page).getByRole("button", { name: "Resume: Acme" })).toHaveCount(0);
  await expect(rate).toBeVisible();
  await expect(rate).toHaveValue("7.25");

  // A part of the panel before the form that goes away, such as its errors.
  await page.route(/load_server_page/, async (route) => {
    const response = await route.fetch();
    const content = await response.json();
    content.html = content.html.replaceAll(/<p class="channel-status">.*?<\/p>/gs, "");
    await route.fulfill({ response, json: content });
  });
  await expect(status(page)).toHaveCount(0);
  await expect(rate).toBeVisible();
  await expect(rate).toHaveValue("7.25");
  await page.unrouteAll({ behavior: "ignoreErrors" });
  await other.close();
});

test("a refused form comes back open, in sight, with what was typed and the channel's name", async ({
  page,
  server,
}) => {
  await page.setViewportSize({ width: 800, height: 420 });
  await signIn(page, server);
  await openChannels(page, server);
  const depot = panel(page, "depot");
  await depot.locator("summary", { hasText: /^Pause$/ }).click();
  await depot.getByLabel("For").selectOption({ label: "until tomorrow, 08:00 UTC" });
  await depot.getByLabel("or until (UTC)").fill("2001-01-01T10:00");
  await depot.getByLabel("Why").fill("stock & “sale”");
  await depot.getByRole("button", { name: "Pause for everybody" }).click();
  const problem = page.getByTestId("problem");
  await expect(problem).toHaveText("Depot: The pause has to end in the future.");
  await expect(depot.getByTestId("problem")).toBeInViewport();
  await expect(depot.getByLabel("Why")).toHaveValue("stock & “sale”");
  await expect(depot.getByLabel("For")).toHaveValue("tomorrow");
  await expect(depot.getByLabel("or until (UTC)")).toHaveValue("2001-01-01T10:00");
  await depot.getByLabel("or until (UTC)").fill("");
  await depot.getByRole("button", { name: "Pause for everybody" }).click();
  await expect(depot.getByTestId("status")).toContainText("stock & “sale”");
  await expect(problem).toHaveCount(0);
  await expect(page).toHaveURL(`${server.url}/channels`);
});

test("on a wide screen a paused panel has its actions in one line, and on a phone they are large", async ({
  page,
  server,
  browser,
}) => {
  await signIn(page, server);
  await page.setViewportSize({ width: 1920, height: 1080 });
  await openChannels(page, server);
  await pauseAcme(page, "price review");
  const tops = await panel(page)
    .locator(".channel-actions > :is(form, details)")
    .evaluateAll((all) => all.map((action) => action.getBoundingClientRect()));
  expect(tops).toHaveLength(4);
  const middles = tops.map(({ top, height }) => Math.round(top + height / 2));
  expect(Math.max(...middles) - Math.min(...middles), `${middles}`).toBeLessThan(8);

  const phone = await browser.newContext({
    viewport: { width: 360, height: 800 },
    isMobile: true,
    hasTouch: true,
    storageState: await page.context().storageState(),
  });
  const small = await phone.newPage();
  await openChannels(small, server);
  const heights = await panel(small)
    .locator(".channel-actions summary")
    .evaluateAll((all) => all.map((summary) => summary.getBoundingClientRect().height));
  expect(Math.min(...heights)).toBeGreaterThanOrEqual(44);
  await phone.close();
});

test.describe("with a rate that is no round number", () => {
  const slow = { MEANWHILE_ADMIN_EMAIL: EMAIL, MEANWHILE_ADMIN_PASSWORD: PASSWORD, MEANWHILE_SANDBOX_SPEED: "1.375" };
  test.use({ settings: slow });

  test("the field and its limit are exact, so that what stands there can be sent", async ({ page, server }) => {
    await signIn(page, server);
    await openChannels(page, server);
    const rate = panel(page).getByLabel("Requests per second, at most 2.75");
    const send = async () => panel(page).getByRole("button", { name: "Change for everybody" }).click();
    await panel(page).locator("summary", { hasText: "Change pace" }).click();
    await expect(rate).toHaveValue("2.75");
    await send();
    await expect(rate, "it was accepted").toBeHidden();
    await expect(page.getByTestId("problem")).toHaveCount(0);
    await panel(page).locator("summary", { hasText: "Change pace" }).click();
    await rate.fill("1.25");
    await send();
    await expect(page.getByTestId("changes")).toContainText("slowed Acme down to 1.25 requests per second");
    await panel(page).locator("summary", { hasText: "Change pace" }).click();
    await expect(rate).toHaveValue("1.25");
  });
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
