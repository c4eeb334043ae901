import { AxeBuilder } from "@axe-core/playwright";
import type { Browser, BrowserContextOptions, Page } from "@playwright/test";
import { EMAIL, PASSWORD, type Server, expect, signIn, test, upload, watch } from "../fixtures.ts";

const BOB = "bob@example.com";
const CSV = "sku,title,price\nA-1,Lamp,19.90\n";
const csv = { name: "lamps.csv", mimeType: "text/csv", buffer: Buffer.from(CSV) };

/** A browser of somebody else's; an error on its console fails the test. */
async function elsewhere(browser: Browser, options: BrowserContextOptions = {}) {
  const page = await (await browser.newContext(options)).newPage();
  const errors: string[] = [];
  watch(page, errors, () => false);
  const close = async () => {
    await page.context().close();
    expect(errors, "errors on the other page's console").toEqual([]);
  };
  return { page, close };
}

const person = (page: Page, email: string) => page.getByTestId("person").filter({ hasText: email });

async function invite(page: Page, server: Server, email = BOB) {
  await page.goto(`${server.url}/people`);
  await page.getByLabel("Email").fill(email);
  await page.getByRole("button", { name: "Make the link" }).click();
  const link = await page.getByTestId("new-link").inputValue();
  expect(link).toMatch(new RegExp(`^${server.url}/(invite|reset)/[0-9a-f]{64}$`));
  return link;
}

async function choose(page: Page, link: string, password: string, button = "Make the account") {
  await page.goto(link);
  await page.getByLabel(/^Password/).fill(password);
  await page.getByRole("button", { name: button }).click();
}

async function act(page: Page, name: string, email = BOB) {
  await person(page, email).locator("summary", { hasText: new RegExp(`^${name}$`) }).click();
  await person(page, email).getByRole("button", { name, exact: true }).click();
}

async function joined(page: Page, server: Server, browser: Browser) {
  const link = await invite(page, server);
  const bob = await elsewhere(browser);
  await choose(bob.page, link, "bobs-password");
  await expect(bob.page).toHaveURL(`${server.url}/`);
  return bob;
}

test("who is invited makes an account, and sees their own jobs only", async ({ page, server, browser }) => {
  await signIn(page, server);
  await upload(page, CSV, "lamp.csv");
  await expect(page.getByText("Accepted.")).toBeVisible();
  const job = page.url().split("?")[0]!;
  const link = await invite(page, server);
  await expect(page.getByTestId("invitation")).toContainText(BOB);
  await page.reload();
  await expect(page.getByTestId("new-link"), "shown once").toHaveCount(0);

  const bob = await elsewhere(browser);
  await bob.page.goto(link);
  await expect(bob.page.getByLabel("Email")).toHaveValue(BOB);
  await choose(bob.page, link, "bobs-password");
  await expect(bob.page).toHaveURL(`${server.url}/`);
  await expect(bob.page.getByText("No job yet.")).toBeVisible();
  await expect(bob.page.locator(".rail").getByRole("link", { name: "People" })).toHaveCount(0);
  await expect(page.locator(".rail").getByRole("link", { name: "People" })).toBeVisible();
  for (const path of [job, `${server.url}/people`]) {
    expect((await bob.page.request.get(path)).status(), path).toBe(404);
  }
  await bob.close();

  await page.reload();
  await expect(page.getByTestId("invitation")).toHaveCount(0);
  await expect(person(page, BOB)).toContainText("User");
  const late = await elsewhere(browser);
  expect((await late.page.request.get(link)).status()).toBe(409);
  await late.close();
});

test("a link that was revoked, or is not whole, says what to do", async ({ page, server, browser }) => {
  await signIn(page, server);
  const link = await invite(page, server);
  const open = await elsewhere(browser);
  await open.page.goto(link);
  await page.getByRole("button", { name: "Revoke" }).click();
  await expect(page.getByTestId("invitation")).toHaveCount(0);
  await open.page.getByLabel(/^Password/).fill("bobs-password");
  await open.page.getByRole("button", { name: "Make the account" }).click().catch(() => {});
  await expect(open.page.getByTestId("problem")).toContainText("ask an admin for a new one");
  await expect(open.page.getByRole("link", { name: "Go to sign in" })).toBeVisible();
  // The browser logs a page that is not found as an error of its own.
  await open.page.context().close();
});

test("who is disabled is signed out on the open page, and can come back", async ({ page, server, browser }) => {
  await signIn(page, server);
  const bob = await joined(page, server, browser);
  await expect(bob.page.getByTestId("connection")).toHaveText("live");
  await page.reload();
  await act(page, "Disable");
  await expect(person(page, BOB)).toContainText("disabled");
  await expect(bob.page.getByTestId("connection")).toHaveText("signed out");
  await bob.page.goto(`${server.url}/jobs`);
  await expect(bob.page).toHaveURL(`${server.url}/sign-in`);
  const sign = async () => {
    await bob.page.getByLabel("Email").fill(BOB);
    await bob.page.getByLabel("Password").fill("bobs-password");
    await bob.page.getByRole("button", { name: "Sign in" }).click();
  };
  await sign();
  await expect(bob.page.getByTestId("problem")).toBeVisible();
  await act(page, "Enable");
  await expect(person(page, BOB)).not.toContainText("disabled");
  await sign();
  await expect(bob.page).toHaveURL(`${server.url}/`);
  await bob.close();
});

test("a reset link changes the password and ends the open sessions", async ({ page, server, browser }) => {
  await signIn(page, server);
  const bob = await joined(page, server, browser);
  await expect(bob.page.getByTestId("connection")).toHaveText("live");
  await page.reload();
  await act(page, "Reset password");
  const link = await page.getByTestId("new-link").inputValue();
  await expect(bob.page.getByTestId("connection")).toHaveText("live");
  const phone = await elsewhere(browser, { javaScriptEnabled: false });
  await choose(phone.page, link, "short", "Change the password");
  await expect(phone.page, "refused by the browser").toHaveURL(link);
  await choose(phone.page, link, "a-new-password", "Change the password");
  await expect(phone.page).toHaveURL(`${server.url}/`);
  await expect(bob.page.getByTestId("connection")).toHaveText("signed out");
  await phone.close();
  await bob.close();
});

test("roles change, and nobody acts on themselves", async ({ page, server, browser }) => {
  await signIn(page, server);
  const bob = await joined(page, server, browser);
  await page.reload();
  await expect(person(page, EMAIL).getByRole("button")).toHaveCount(0);
  await act(page, "Make admin");
  await expect(person(page, BOB)).toContainText("Admin");
  await bob.page.goto(`${server.url}/people`);
  await act(bob.page, "Make user", EMAIL);
  await expect(person(bob.page, EMAIL)).toContainText("User");
  await bob.close();
});

test("the password is changed by who knows it, and other sessions end", async ({ page, server, browser }) => {
  await signIn(page, server);
  const other = await elsewhere(browser);
  await signIn(other.page, server);
  await expect(other.page.getByTestId("connection")).toHaveText("live");
  await page.getByRole("button", { name: /^Your menu/ }).click();
  await page.getByRole("link", { name: "Account" }).click();
  await expect(page.getByTestId("session")).toHaveCount(2);
  const change = async (old: string) => {
    await page.getByLabel("Current password").fill(old);
    await page.getByLabel(/^New password/).fill("another-password");
    await page.getByRole("button", { name: "Change it" }).click();
  };
  await change("not-the-password");
  await expect(page.getByTestId("problem")).toContainText("not right");
  await expect(other.page.getByTestId("connection")).toHaveText("live");
  await change(PASSWORD);
  await expect(page.getByText("Password changed.")).toBeVisible();
  await expect(page.getByTestId("session")).toHaveCount(1);
  await expect(other.page.getByTestId("connection")).toHaveText("signed out");
  await other.close();
});

test("one signs out everywhere else and stays here", async ({ page, server, browser }) => {
  await signIn(page, server);
  const other = await elsewhere(browser);
  await signIn(other.page, server);
  await expect(other.page.getByTestId("connection")).toHaveText("live");
  await page.goto(`${server.url}/account`);
  await page.getByRole("button", { name: "Sign out everywhere else" }).click();
  await expect(page.getByTestId("session")).toHaveCount(1);
  await expect(other.page.getByTestId("connection")).toHaveText("signed out");
  await expect(page.getByTestId("connection")).toHaveText("live");
  await other.close();
});

for (const [name, device, ground] of [
  ["Light", "dark", "rgb(251, 251, 250)"],
  ["Dark", "light", "rgb(20, 21, 23)"],
] as const) {
  test(`the theme ${name} is kept, against the device's`, async ({ page, server }) => {
    await page.emulateMedia({ colorScheme: device });
    await signIn(page, server);
    await page.goto(`${server.url}/account`);
    await page.getByRole("button", { name, exact: true }).click();
    await expect(page.getByRole("button", { name, exact: true })).toHaveAttribute("aria-pressed", "true");
    await page.reload();
    await expect(page.locator("html")).toHaveAttribute("data-theme", name.toLowerCase());
    await expect(page.locator("body")).toHaveCSS("background-color", ground);
    const sent = await (await page.request.get(`${server.url}/jobs`)).text();
    expect(sent, "the server renders it").toContain(`data-theme="${name.toLowerCase()}"`);
    await page.getByRole("button", { name: "As the device" }).click();
    await expect(page.locator("html")).not.toHaveAttribute("data-theme");
  });
}

test.describe("with everything logged", () => {
  test.use({ settings: { MEANWHILE_ADMIN_EMAIL: EMAIL, MEANWHILE_ADMIN_PASSWORD: PASSWORD, RUST_LOG: "trace", NO_COLOR: "1" } });

  test("a one-time link is used, and its token is nowhere in the log", async ({ page, server, browser }) => {
    await signIn(page, server);
    const link = await invite(page, server);
    const token = link.split("/").pop()!;
    const bob = await elsewhere(browser);
    await choose(bob.page, link, "bobs-password");
    await expect(bob.page).toHaveURL(`${server.url}/`);
    await bob.page.request.get(`${server.url}/Invite/${token}/`);
    await expect.poll(() => server.log, { message: "the request is logged" }).toContain("path=/invite/…");
    await expect.poll(() => server.log).toContain("path=/Invite/…");
    expect(server.log.includes(token), "the token is in the log").toBe(false);
    await bob.close();
  });
});

test("who is no admin finds nothing to manage people by", async ({ page, server, browser }) => {
  await signIn(page, server);
  const bob = await joined(page, server, browser);
  await page.goto(`${server.url}/account`);
  // The link is the browser's own until the scripts are there.
  await expect(page.getByTestId("connection")).toHaveText("live");
  const [read] = await Promise.all([
    page.waitForRequest((sent) => sent.postData() === '{"question":"people"}'),
    page.locator(".rail").getByRole("link", { name: "People" }).click(),
  ]);
  await page.reload();
  const actions = await person(page, BOB).locator("form").evaluateAll((forms) => forms.map((form) => form.getAttribute("action")!));
  expect(actions.length).toBe(3);
  const invitation = "/invitations/01940000-0000-7000-8000-000000000000/revoke";
  const asking = new URL(read.url()).pathname;
  for (const path of [asking, "/people", invitation, ...actions]) {
    const form = { email: "eve@example.com", role: "admin" };
    const sent = path === asking ? { data: read.postDataJSON() } : { form };
    const options = { ...sent, headers: { origin: server.url }, maxRedirects: 0 };
    expect((await bob.page.request.post(server.url + path, options)).status(), `a user: ${path}`).toBe(404);
    const nobody = await elsewhere(browser);
    const answer = await nobody.page.request.post(server.url + path, options);
    expect(answer.status(), `signed out: ${path}`).toBeGreaterThanOrEqual(400);
    await nobody.close();
  }
  await page.reload();
  await expect(page.getByTestId("person")).toHaveCount(2);
  await expect(person(page, BOB)).toContainText("User");
  await bob.close();
});

test("whoever guesses at links is stopped, and a good one has to wait", async ({ page, server, browser }) => {
  await signIn(page, server);
  const link = await invite(page, server);
  const eve = await elsewhere(browser);
  const post = async (path: string) => {
    const form = { password: "eves-password" };
    const answer = await eve.page.request.post(path, { form, headers: { origin: server.url }, maxRedirects: 0 });
    return decodeURIComponent(answer.headers().location ?? "");
  };
  for (let n = 0; n < 10; n++) {
    expect(await post(`${server.url}/invite/${String(n).repeat(64)}`)).toContain("not valid");
  }
  expect(await post(link)).toContain("Too many failed tries");
  await eve.close();
  await page.reload();
  await expect(page.getByTestId("invitation")).toHaveCount(1);
});

test("without scripts, people are managed too", async ({ server, browser }) => {
  const { page, close } = await elsewhere(browser, { javaScriptEnabled: false });
  await signIn(page, server);
  const bob = await elsewhere(browser, { javaScriptEnabled: false });
  await choose(bob.page, await invite(page, server), "bobs-password");
  await bob.close();
  await page.goto(`${server.url}/people`);
  await act(page, "Disable");
  await expect(person(page, BOB)).toContainText("disabled");
  await close();
});

for (const colorScheme of ["light", "dark"] as const) {
  test(`the pages of accounts break no rule of accessibility, ${colorScheme}`, async ({ page, server, browser }) => {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await signIn(page, server);
    await (await joined(page, server, browser)).close();
    const link = await invite(page, server, "a.rather.long.address.of.somebody@subsidiary.example.com");
    const check = async (name: string) => {
      for (const width of [360, 768, 1440]) {
        await page.setViewportSize({ width, height: 800 });
        if (process.env.SHOTS) {
          await page.screenshot({ path: `${process.env.SHOTS}/${colorScheme}-${name}-${width}.png`, fullPage: true });
        }
        const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        expect(over, `${name} at ${width} px scrolls sideways`).toBeLessThanOrEqual(0);
      }
      const { violations } = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]).analyze();
      expect(violations.map((v) => [name, v.id, v.nodes.map((n) => n.html)])).toEqual([]);
    };
    await person(page, BOB).locator("summary", { hasText: "Disable" }).click();
    await check("people");
    await page.goto(`${server.url}/account?saved=password`);
    await check("account");
    await page.goto(link);
    await check("invite");
  });
}
