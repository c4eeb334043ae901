import { AxeBuilder } from "@axe-core/playwright";
import type { Browser, BrowserContextOptions, Page } from "@playwright/test";
import { collectConsoleErrors, EMAIL, expect, PASSWORD, type Server, signIn, test, uploadFile } from "../fixtures.ts";

const BOB = "bob@example.com";
const CSV = "sku,title,price\nA-1,Lamp,19.90\n";

/** Opens a page in another browser; `close` fails the test if its console had an error. */
async function openOtherBrowser(browser: Browser, options: BrowserContextOptions = {}) {
  const page = await (await browser.newContext(options)).newPage();
  const errors: string[] = [];
  collectConsoleErrors(page, errors, () => false);
  const close = async () => {
    await page.context().close();
    expect(errors, "errors on the other page's console").toEqual([]);
  };
  return { page, close };
}

const accountRow = (page: Page, email: string) => page.getByTestId("account").filter({ hasText: email });

async function inviteUser(page: Page, server: Server, email = BOB) {
  await page.goto(`${server.url}/people`);
  await page.getByLabel("Email").fill(email);
  await page.getByRole("button", { name: "Create the link" }).click();
  const link = await page.getByTestId("one-time-link").inputValue();
  expect(link).toMatch(new RegExp(`^${server.url}/(invite|reset)/[0-9a-f]{64}$`));
  return link;
}

async function choosePassword(page: Page, link: string, password: string, button = "Create the account") {
  await page.goto(link);
  await page.getByLabel(/^Password/).fill(password);
  await page.getByRole("button", { name: button }).click();
}

async function runAccountAction(page: Page, name: string, email = BOB) {
  await accountRow(page, email)
    .locator("summary", { hasText: new RegExp(`^${name}$`) })
    .click();
  await accountRow(page, email).getByRole("button", { name, exact: true }).click();
}

async function inviteAndJoin(page: Page, server: Server, browser: Browser) {
  const link = await inviteUser(page, server);
  const bob = await openOtherBrowser(browser);
  await choosePassword(bob.page, link, "bobs-password");
  await expect(bob.page).toHaveURL(`${server.url}/`);
  return bob;
}

test("an invited user creates an account, and sees only their own jobs", async ({ page, server, browser }) => {
  await signIn(page, server);
  await uploadFile(page, CSV, "lamp.csv");
  await expect(page.getByText("Accepted.")).toBeVisible();
  const job = page.url().split("?")[0]!;
  const link = await inviteUser(page, server);
  await expect(page.getByTestId("invitation")).toContainText(BOB);
  await page.reload();
  await expect(page.getByTestId("one-time-link"), "the link is shown once").toHaveCount(0);

  const bob = await openOtherBrowser(browser);
  await bob.page.goto(link);
  await expect(bob.page.getByLabel("Email")).toHaveValue(BOB);
  await choosePassword(bob.page, link, "bobs-password");
  await expect(bob.page).toHaveURL(`${server.url}/`);
  await expect(bob.page.getByText("No jobs yet.")).toBeVisible();
  await expect(bob.page.locator(".nav-rail").getByRole("link", { name: "People" })).toHaveCount(0);
  await expect(page.locator(".nav-rail").getByRole("link", { name: "People" })).toBeVisible();
  for (const path of [job, `${server.url}/people`]) {
    expect((await bob.page.request.get(path)).status(), path).toBe(404);
  }
  await bob.close();

  await page.reload();
  await expect(page.getByTestId("invitation")).toHaveCount(0);
  await expect(accountRow(page, BOB)).toContainText("User");
  const lateVisitor = await openOtherBrowser(browser);
  expect((await lateVisitor.page.request.get(link)).status()).toBe(409);
  await lateVisitor.close();
});

test("a revoked link says what to do", async ({ page, server, browser }) => {
  await signIn(page, server);
  const link = await inviteUser(page, server);
  const invited = await openOtherBrowser(browser);
  await invited.page.goto(link);
  await page.getByRole("button", { name: "Revoke" }).click();
  await expect(page.getByTestId("invitation")).toHaveCount(0);
  await invited.page.getByLabel(/^Password/).fill("bobs-password");
  await invited.page
    .getByRole("button", { name: "Create the account" })
    .click()
    .catch(() => {});
  await expect(invited.page.getByTestId("problem")).toContainText("ask an admin for a new one");
  await expect(invited.page.getByRole("link", { name: "Go to sign in" })).toBeVisible();
  // Not `close`: the browser itself logs a page that is not found as an error.
  await invited.page.context().close();
});

test("a disabled user is signed out on the open page, and can return once enabled", async ({
  page,
  server,
  browser,
}) => {
  await signIn(page, server);
  const bob = await inviteAndJoin(page, server, browser);
  await expect(bob.page.getByTestId("connection")).toHaveText("live");
  await page.reload();
  await runAccountAction(page, "Disable");
  await expect(accountRow(page, BOB)).toContainText("disabled");
  await expect(bob.page.getByTestId("connection")).toHaveText("signed out");
  await bob.page.goto(`${server.url}/jobs`);
  await expect(bob.page).toHaveURL(`${server.url}/sign-in`);
  const signInAsBob = async () => {
    await bob.page.getByLabel("Email").fill(BOB);
    await bob.page.getByLabel("Password").fill("bobs-password");
    await bob.page.getByRole("button", { name: "Sign in" }).click();
  };
  await signInAsBob();
  await expect(bob.page.getByTestId("problem")).toBeVisible();
  await runAccountAction(page, "Enable");
  await expect(accountRow(page, BOB)).not.toContainText("disabled");
  await signInAsBob();
  await expect(bob.page).toHaveURL(`${server.url}/`);
  await bob.close();
});

test("a reset link changes the password and ends the open sessions", async ({ page, server, browser }) => {
  await signIn(page, server);
  const bob = await inviteAndJoin(page, server, browser);
  await expect(bob.page.getByTestId("connection")).toHaveText("live");
  await page.reload();
  await runAccountAction(page, "Reset password");
  const link = await page.getByTestId("one-time-link").inputValue();
  await expect(bob.page.getByTestId("connection")).toHaveText("live");
  const phone = await openOtherBrowser(browser, { javaScriptEnabled: false });
  await choosePassword(phone.page, link, "short", "Change the password");
  await expect(phone.page, "the browser rejects a short password").toHaveURL(link);
  await choosePassword(phone.page, link, "a-new-password", "Change the password");
  await expect(phone.page).toHaveURL(`${server.url}/`);
  await expect(bob.page.getByTestId("connection")).toHaveText("signed out");
  await phone.close();
  await bob.close();
});

test("roles can be changed, but an admin has no actions on their own account", async ({ page, server, browser }) => {
  await signIn(page, server);
  const bob = await inviteAndJoin(page, server, browser);
  await page.reload();
  await expect(accountRow(page, EMAIL).getByRole("button")).toHaveCount(0);
  await runAccountAction(page, "Make admin");
  await expect(accountRow(page, BOB)).toContainText("Admin");
  await bob.page.goto(`${server.url}/people`);
  await runAccountAction(bob.page, "Make user", EMAIL);
  await expect(accountRow(bob.page, EMAIL)).toContainText("User");
  await bob.close();
});

test("changing the password requires the current one, and ends other sessions", async ({ page, server, browser }) => {
  await signIn(page, server);
  const other = await openOtherBrowser(browser);
  await signIn(other.page, server);
  await expect(other.page.getByTestId("connection")).toHaveText("live");
  await page.getByRole("button", { name: /^Your menu/ }).click();
  await page.getByRole("link", { name: "Account" }).click();
  await expect(page.getByTestId("session")).toHaveCount(2);
  const changePassword = async (currentPassword: string) => {
    await page.getByLabel("Current password").fill(currentPassword);
    await page.getByLabel(/^New password/).fill("another-password");
    await page.getByRole("button", { name: "Change password" }).click();
  };
  await changePassword("not-the-password");
  await expect(page.getByTestId("problem")).toContainText("not right");
  await expect(other.page.getByTestId("connection")).toHaveText("live");
  await changePassword(PASSWORD);
  await expect(page.getByText("Password changed.")).toBeVisible();
  await expect(page.getByTestId("session")).toHaveCount(1);
  await expect(other.page.getByTestId("connection")).toHaveText("signed out");
  await other.close();
});

test("a user can sign out everywhere else and stay signed in here", async ({ page, server, browser }) => {
  await signIn(page, server);
  const other = await openOtherBrowser(browser);
  await signIn(other.page, server);
  await expect(other.page.getByTestId("connection")).toHaveText("live");
  await page.goto(`${server.url}/account`);
  await page.getByRole("button", { name: "Sign out everywhere else" }).click();
  await expect(page.getByTestId("session")).toHaveCount(1);
  await expect(other.page.getByTestId("connection")).toHaveText("signed out");
  await expect(page.getByTestId("connection")).toHaveText("live");
  await other.close();
});

for (const [name, device, background] of [
  ["Light", "dark", "rgb(251, 251, 250)"],
  ["Dark", "light", "rgb(20, 21, 23)"],
] as const) {
  test(`the theme ${name} is saved, and overrides the device's`, async ({ page, server }) => {
    await page.emulateMedia({ colorScheme: device });
    await signIn(page, server);
    await page.goto(`${server.url}/account`);
    await page.getByRole("button", { name, exact: true }).click();
    await expect(page.getByRole("button", { name, exact: true })).toHaveAttribute("aria-pressed", "true");
    await page.reload();
    await expect(page.locator("html")).toHaveAttribute("data-theme", name.toLowerCase());
    await expect(page.locator("body")).toHaveCSS("background-color", background);
    const html = await (await page.request.get(`${server.url}/jobs`)).text();
    expect(html, "the server renders it").toContain(`data-theme="${name.toLowerCase()}"`);
    await page.getByRole("button", { name: "Same as the device" }).click();
    await expect(page.locator("html")).not.toHaveAttribute("data-theme");
  });
}

test.describe("with trace logging", () => {
  test.use({
    settings: { MEANWHILE_ADMIN_EMAIL: EMAIL, MEANWHILE_ADMIN_PASSWORD: PASSWORD, RUST_LOG: "trace", NO_COLOR: "1" },
  });

  test("the token of a used one-time link does not appear in the log", async ({ page, server, browser }) => {
    await signIn(page, server);
    const link = await inviteUser(page, server);
    const token = link.split("/").pop()!;
    const bob = await openOtherBrowser(browser);
    await choosePassword(bob.page, link, "bobs-password");
    await expect(bob.page).toHaveURL(`${server.url}/`);
    await bob.page.request.get(`${server.url}/Invite/${token}/`);
    await expect.poll(() => server.log, { message: "the request is logged" }).toContain("path=/invite/…");
    await expect.poll(() => server.log).toContain("path=/Invite/…");
    expect(server.log.includes(token), "the token is in the log").toBe(false);
    await bob.close();
  });
});

test("only an admin can manage accounts", async ({ page, server, browser }) => {
  await signIn(page, server);
  const bob = await inviteAndJoin(page, server, browser);
  await page.goto(`${server.url}/account`);
  // Until the scripts have loaded, the browser itself follows the link.
  await expect(page.getByTestId("connection")).toHaveText("live");
  const [queryRequest] = await Promise.all([
    page.waitForRequest("**/api/load_server_page*"),
    page.locator(".nav-rail").getByRole("link", { name: "People" }).click(),
  ]);
  await page.reload();
  const actions = await accountRow(page, BOB)
    .locator("form")
    .evaluateAll((forms) => forms.map((form) => form.getAttribute("action")!));
  expect(actions.length).toBe(3);
  const invitation = "/invitations/01940000-0000-7000-8000-000000000000/revoke";
  const queryPath = new URL(queryRequest.url()).pathname;
  for (const path of [queryPath, "/people", invitation, ...actions]) {
    const form = { email: "eve@example.com", role: "admin" };
    const body = path === queryPath ? { data: queryRequest.postDataJSON() } : { form };
    const options = { ...body, headers: { origin: server.url }, maxRedirects: 0 };
    expect((await bob.page.request.post(server.url + path, options)).status(), `a user: ${path}`).toBe(404);
    const anonymous = await openOtherBrowser(browser);
    const response = await anonymous.page.request.post(server.url + path, options);
    expect(response.status(), `signed out: ${path}`).toBeGreaterThanOrEqual(400);
    await anonymous.close();
  }
  await page.reload();
  await expect(page.getByTestId("account")).toHaveCount(2);
  await expect(accountRow(page, BOB)).toContainText("User");
  await bob.close();
});

test("guessing links is throttled, and even a valid link then has to wait", async ({ page, server, browser }) => {
  await signIn(page, server);
  const link = await inviteUser(page, server);
  const eve = await openOtherBrowser(browser);
  const post = async (path: string) => {
    const form = { password: "eves-password" };
    const response = await eve.page.request.post(path, { form, headers: { origin: server.url }, maxRedirects: 0 });
    return decodeURIComponent(response.headers().location ?? "");
  };
  for (let n = 0; n < 10; n++) {
    expect(await post(`${server.url}/invite/${String(n).repeat(64)}`)).toContain("not valid");
  }
  expect(await post(link)).toContain("Too many failed tries");
  await eve.close();
  await page.reload();
  await expect(page.getByTestId("invitation")).toHaveCount(1);
});

test("without scripts, accounts can be managed", async ({ server, browser }) => {
  const { page, close } = await openOtherBrowser(browser, { javaScriptEnabled: false });
  await signIn(page, server);
  const bob = await openOtherBrowser(browser, { javaScriptEnabled: false });
  await choosePassword(bob.page, await inviteUser(page, server), "bobs-password");
  await bob.close();
  await page.goto(`${server.url}/people`);
  await runAccountAction(page, "Disable");
  await expect(accountRow(page, BOB)).toContainText("disabled");
  await close();
});

for (const colorScheme of ["light", "dark"] as const) {
  test(`the account pages have no accessibility violations, ${colorScheme}`, async ({ page, server, browser }) => {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await signIn(page, server);
    await (await inviteAndJoin(page, server, browser)).close();
    const link = await inviteUser(page, server, "a.rather.long.address.of.somebody@subsidiary.example.com");
    const check = async (name: string) => {
      for (const width of [360, 768, 1440]) {
        await page.setViewportSize({ width, height: 800 });
        if (process.env.SCREENSHOT_DIR) {
          await page.screenshot({
            path: `${process.env.SCREENSHOT_DIR}/${colorScheme}-${name}-${width}.png`,
            fullPage: true,
          });
        }
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        expect(overflow, `${name} at ${width} px scrolls sideways`).toBeLessThanOrEqual(0);
      }
      const { violations } = await new AxeBuilder({ page })
        .withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"])
        .analyze();
      expect(violations.map((v) => [name, v.id, v.nodes.map((n) => n.html)])).toEqual([]);
    };
    await accountRow(page, BOB).locator("summary", { hasText: "Disable" }).click();
    await check("people");
    await page.goto(`${server.url}/account?saved=password`);
    await check("account");
    await page.goto(link);
    await check("invite");
  });
}
