import type { Locator, Page, WebSocketRoute } from "@playwright/test";
import { EMAIL, expect, PASSWORD, signIn, test } from "../fixtures.ts";
import { expectAccessibleLayout, launchJob, pauseClock, waitForJobEnd } from "../helpers.ts";

const connectionStatus = (page: Page) => page.getByTestId("connection");

/** Presses `key` until `target` has the focus. */
async function tabTo(page: Page, target: Locator, key = "Tab") {
  for (let n = 0; n < 80; n++) {
    await page.keyboard.press(key);
    if (await target.evaluateAll((all) => all.some((it) => it === document.activeElement))) return;
  }
  throw new Error(`no Tab leads to ${target}`);
}

test("a job can be launched and viewed with the keyboard alone", async ({ page, server }) => {
  await page.goto(`${server.url}/sign-in`);
  await tabTo(page, page.getByLabel("Email"));
  await page.keyboard.type(EMAIL);
  await page.keyboard.press("Tab");
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(`${server.url}/`);
  await expect(connectionStatus(page)).toHaveText("live");
  await tabTo(page, page.getByRole("button", { name: /sample/i }));
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("job-state")).toBeVisible();
  await expect(connectionStatus(page)).toHaveText("live");
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to the content" })).toBeFocused();
  await page.keyboard.press("Enter");
  // By CSS, because computing the roles of hundreds of cells after each key takes too long.
  await tabTo(page, page.locator("[data-testid=cell] a"));
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("details")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByTestId("details")).toHaveCount(0);
  // A page that a running job keeps busy may get the second key of a shortcut too late.
  await expect(page.getByTestId("job-state")).toHaveText("Succeeded", { timeout: 120_000 });
  await page.keyboard.press("g");
  await page.keyboard.press("i");
  await expect(page).toHaveURL(`${server.url}/inbox`);
  await expect(page.getByRole("heading", { name: "Inbox" })).toBeVisible();
  await tabTo(page, page.getByRole("button", { name: /^Your menu/ }), "Shift+Tab");
  await page.keyboard.press("Enter");
  await tabTo(page, page.getByRole("button", { name: "Sign out" }));
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(`${server.url}/sign-in`);
});

test("keyboard shortcuts open the pages, the search and the list of shortcuts", async ({ page, server }) => {
  await signIn(page, server);
  await expect(connectionStatus(page)).toHaveText("live");
  for (const [key, path] of [
    ["j", "/jobs"],
    ["m", "/machines"],
    ["f", "/flows"],
    ["i", "/inbox"],
    ["l", "/"],
  ]) {
    await page.keyboard.press("g");
    await page.keyboard.press(key!);
    await expect(page).toHaveURL(`${server.url}${path}`);
    await expect(page.locator(".nav-rail [aria-current=page]")).toHaveAttribute("data-shortcut", key!);
  }
  const help = page.getByRole("dialog", { name: "Keyboard and states" });
  await page.keyboard.press("?");
  await expect(help).toBeVisible();
  await expect(help).toContainText("The result is unknown");
  await page.keyboard.press("Escape");
  await expect(help).toBeHidden();
  await page.keyboard.press("/");
  await expect(page.locator("#site-search")).toBeFocused();
  await page.keyboard.type("?gj/");
  await expect(page.locator("#site-search"), "a text field receives the keys").toHaveValue("?gj/");
  await expect(help).toBeHidden();

  // Users of speech input turn the shortcuts off.
  await page.locator("main h1").click();
  await page.keyboard.press("?");
  await help.getByLabel("Turn these keys off in this browser").check();
  await page.keyboard.press("Escape");
  await page.reload();
  await expect(connectionStatus(page)).toHaveText("live");
  await page.keyboard.press("?");
  await page.keyboard.press("g");
  await page.keyboard.press("j");
  await expect(help).toBeHidden();
  await expect(page).toHaveURL(`${server.url}/`);
});

test("the search finds the user's items by SKU and jobs by title", async ({ page, server, browser }) => {
  await signIn(page, server);
  const csv = "sku,title,price\nLAMP-1,Oak lamp,19.90\nlamp-2,Birch lamp,29.90\nCHAIR_1,Chair,9.90\n";
  const job = await launchJob(page, server, "Lamps of June.csv", csv, "acme,bazaar");
  await waitForJobEnd(page, server, job);
  await expect(connectionStatus(page)).toHaveText("live");
  await page.keyboard.press("/");
  await page.keyboard.type("lamp-");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(`${server.url}/search?q=lamp-`);
  const found = page.getByTestId("search-result");
  await expect(found).toHaveCount(4);
  await expect(found.first()).toContainText("LAMP-1 on");
  await expect(found.first()).toContainText("Lamps of June.csv");
  await page.getByTestId("search-field").fill("OF JUNE");
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await expect(page.locator(".list-item")).toHaveCount(1);
  await expect(page.locator(".list-item")).toContainText("Succeeded");
  for (const [q, items] of [
    ["CHAIR_", 2],
    ["chair%", 0],
    ["hair", 0],
    ["lamp-1", 2],
  ] as const) {
    await page.goto(`${server.url}/search?q=${encodeURIComponent(q)}`);
    await expect(page.getByRole("heading", { name: "Search" })).toBeVisible();
    await expect(found, q).toHaveCount(items);
    if (items === 0) await expect(page.getByText(`Nothing matches “${q}”`)).toBeVisible();
  }
  await found.first().click();
  await expect(page.getByTestId("details")).toContainText("LAMP-1");

  // The search works without scripts.
  const contextWithoutScripts = await browser.newContext({
    javaScriptEnabled: false,
    storageState: await page.context().storageState(),
  });
  const pageWithoutScripts = await contextWithoutScripts.newPage();
  await pageWithoutScripts.goto(`${server.url}/jobs`);
  await pageWithoutScripts.locator("#site-search").fill("chair");
  await pageWithoutScripts.locator("#site-search").press("Enter");
  await expect(pageWithoutScripts.getByTestId("search-result")).toHaveCount(2);
  await pageWithoutScripts.getByRole("button", { name: /^Your menu/ }).click();
  await pageWithoutScripts.getByRole("button", { name: "Sign out" }).click();
  await expect(pageWithoutScripts).toHaveURL(`${server.url}/sign-in`);
  await contextWithoutScripts.close();
});

test("the top bar's button cycles through the themes without leaving the page", async ({ page, server }) => {
  await signIn(page, server);
  await page.goto(`${server.url}/jobs?before=x`);
  const html = page.locator("html");
  for (const [button, theme] of [
    ["light", "light"],
    ["dark", "dark"],
  ] as const) {
    await page.getByRole("button", { name: new RegExp(`^Theme: .*Change to ${button}$`) }).click();
    await expect(html).toHaveAttribute("data-theme", theme);
    await expect(page).toHaveURL(`${server.url}/jobs?before=x`);
  }
  await page.getByRole("button", { name: /Change to the device's/ }).click();
  await expect(html).not.toHaveAttribute("data-theme");
});

test("an offline page says so, and reconnects by itself", async ({ page, context, server, network }) => {
  network.allowNetworkErrors = true;
  await signIn(page, server);
  await page.goto(`${server.url}/jobs`);
  await expect(connectionStatus(page)).toHaveText("live");
  await context.setOffline(true);
  await expect(connectionStatus(page)).toHaveText("offline");
  await expect(page.getByTestId("connection-alert")).toContainText("This device is offline.");
  await expectAccessibleLayout(page, "offline");
  const job = await launchJob(page, server, "meanwhile.csv").catch(() => null);
  expect(job, "the test's own request is not offline").not.toBeNull();
  await context.setOffline(false);
  await expect(connectionStatus(page)).toHaveText("live");
  await expect(page.getByTestId("connection-alert")).toBeEmpty();
  await expect(page.locator(".list-item").first()).toContainText("meanwhile.csv");
});

/** A WebSocket server whose frames the test sends. */
class FakeHub {
  readonly sockets: WebSocketRoute[] = [];
  readonly hellos: { after: number; epoch: string }[] = [];
  private pongs = 0;

  constructor(
    page: Page,
    private readonly answersHello = true,
  ) {
    this.ready = page.routeWebSocket(/\/ws$/, (socket) => {
      this.sockets.push(socket);
      socket.onMessage((text) => {
        const frame = JSON.parse(String(text));
        if (frame.type === "pong") this.pongs++;
        if (frame.type !== "hello") return;
        this.hellos.push(frame);
        if (this.answersHello)
          this.sendFrame({
            type: "welcome",
            epoch: frame.epoch,
            seq: frame.after,
            recovered: true,
            ping_s: 25,
            running: [],
          });
      });
    });
  }

  readonly ready: Promise<void>;

  sendFrame(frame: object) {
    this.sockets.at(-1)!.send(JSON.stringify(frame));
  }

  /** Sends a ping and waits for its pong, by which the page has received all earlier frames. */
  async ping() {
    const before = this.pongs;
    this.sendFrame({ type: "ping", seq: 0 });
    await expect.poll(() => this.pongs).toBe(before + 1);
  }
}

test("a socket that is silent for 35 s is replaced by a new one", async ({ page, server }) => {
  await page.clock.install();
  const hub = new FakeHub(page);
  await hub.ready;
  await signIn(page, server);
  await expect(connectionStatus(page)).toHaveText("live");
  await pauseClock(page);
  // Each frame restarts the timeout.
  await hub.ping();
  const before = hub.hellos.length;
  await page.clock.runFor(30_000);
  await hub.ping();
  await page.clock.runFor(34_900);
  await expect(connectionStatus(page)).toHaveText("live");
  expect(hub.hellos.length).toBe(before);
  await page.clock.runFor(100 + 500);
  await expect.poll(() => hub.hellos.length).toBe(before + 1);
  await expect(connectionStatus(page)).toHaveText("live");
});

test("a dropped socket resumes after the last fact, and the close code decides when", async ({
  page,
  server,
  network,
}) => {
  network.allowNetworkErrors = true;
  await page.clock.install();
  const hub = new FakeHub(page);
  await hub.ready;
  await signIn(page, server);
  await expect(connectionStatus(page)).toHaveText("live");
  // Otherwise a back-off could be over before the test sees it.
  await pauseClock(page);
  const { after, epoch } = hub.hellos.at(-1)!;
  const fact = (seq: number) => ({
    type: "fact",
    seq,
    id: "01a20b3c-4d5e-7f60-8a1b-2c3d4e5f6000",
    kind: "notifications.read",
    at: "2026-11-29T17:06:48.123Z",
    data: { read_up_to: 0 },
  });
  hub.sendFrame(fact(after + 1));
  await hub.ping();
  // Received frames are applied by a timer.
  await page.clock.runFor(100);
  const opened = hub.hellos.length;
  // 4200, going away: reconnects at once, after the last seq.
  await hub.sockets.at(-1)!.close({ code: 4200 });
  await expect(connectionStatus(page)).toHaveText("reconnecting");
  await page.clock.runFor(1);
  await expect.poll(() => hub.hellos.length).toBe(opened + 1);
  expect(hub.hellos.at(-1)).toMatchObject({ after: after + 1, epoch });
  await expect(connectionStatus(page)).toHaveText("live");
  // 4113, overloaded: backs off, for at most one second, then for at most two.
  for (const waitMs of [1_000, 2_000]) {
    const count = hub.hellos.length;
    await hub.sockets.at(-1)!.close({ code: 4113 });
    await expect(connectionStatus(page)).toHaveText("reconnecting");
    await page.clock.runFor(waitMs);
    await expect.poll(() => hub.hellos.length).toBe(count + 1);
    await expect(connectionStatus(page)).toHaveText("live");
  }
  // 4001, signed out: never reconnects.
  const count = hub.hellos.length;
  await hub.sockets.at(-1)!.close({ code: 4001 });
  await expect(connectionStatus(page)).toHaveText("signed out");
  await expect(page.getByTestId("connection-alert")).toContainText("You are signed out");
  await page.clock.runFor(120_000);
  await page.evaluate(() => window.dispatchEvent(new Event("online")));
  expect(hub.hellos.length).toBe(count);
});

test("an unknown path is not found, and the page says so", async ({ page, server }) => {
  await signIn(page, server);
  const response = await page.request.get(`${server.url}/nowhere`);
  expect(response.status()).toBe(404);
  const body = await response.text();
  expect(body).toContain("There is nothing here");
});

test("the pages fit every width and have no accessibility violations", async ({ page, server, browser }) => {
  test.setTimeout(600_000);
  await signIn(page, server);
  const csv =
    "sku,title,price\nLAMP-1,Oak lamp,19.90\nLAMP-SBX-REJECT,A lamp with a rather long title that has to be cut or wrapped somewhere,29.90\n";
  const job = await launchJob(
    page,
    server,
    "a-rather-long-name-of-a-file-from-june-2026.csv",
    csv,
    "acme,bazaar,corner,depot",
  );
  await waitForJobEnd(page, server, job);
  const paths = [
    "/",
    "/machines",
    "/jobs",
    `/jobs/${job}`,
    `/jobs/${job}?view=timeline`,
    "/inbox",
    "/search",
    "/search?q=lamp",
    "/people",
    "/account",
  ];
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const path of paths) {
      await page.goto(`${server.url}${path}`);
      await expect(connectionStatus(page)).toHaveText("live");
      await expectAccessibleLayout(page, `${path}, ${colorScheme}`);
    }
    const item = page.locator("[data-testid=cell] a").first();
    await page.goto(`${server.url}/jobs/${job}`);
    await item.click();
    await expect(page.getByTestId("attempt").first()).toBeVisible();
    await expectAccessibleLayout(page, `an item, ${colorScheme}`);
    await page.goto(`${server.url}/inbox`);
    await expect(connectionStatus(page)).toHaveText("live");
    await page.keyboard.press("?");
    await expect(page.getByRole("dialog")).toBeVisible();
    await expectAccessibleLayout(page, `help, ${colorScheme}`);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: /^Your menu/ }).click();
    await expectAccessibleLayout(page, `menu, ${colorScheme}`);
  }
  // Pages without the shell: signed out and not found. Their console, where the browser logs
  // each 404, is not checked.
  const signedOutContext = await browser.newContext();
  const signedOutPage = await signedOutContext.newPage();
  for (const colorScheme of ["light", "dark"] as const) {
    await signedOutPage.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await signedOutPage.goto(`${server.url}/sign-in`);
    await signedOutPage.getByLabel("Email").fill("ada@example.com");
    await signedOutPage.getByLabel("Password").fill("not-the-password");
    await signedOutPage.getByRole("button", { name: "Sign in" }).click();
    await expect(signedOutPage.getByTestId("problem")).toHaveText("Email and password don't match an account.");
    await expectAccessibleLayout(signedOutPage, `sign-in, ${colorScheme}`);
    await signedOutPage.goto(`${server.url}/invite/${"0".repeat(64)}`);
    await expectAccessibleLayout(signedOutPage, `a dead link, ${colorScheme}`);
    await signedOutContext.addCookies(await page.context().cookies());
    await signedOutPage.goto(`${server.url}/nowhere`);
    await expect(signedOutPage.getByRole("heading", { name: "There is nothing here" })).toBeVisible();
    await expectAccessibleLayout(signedOutPage, `404, ${colorScheme}`);
    await signedOutContext.clearCookies();
  }
  await signedOutContext.close();
});

test.describe("before the first account", () => {
  test.use({ settings: {} });

  test("the set-up page fits every width and has no accessibility violations", async ({ page, server }) => {
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.goto(server.url);
      await expect(page).toHaveURL(`${server.url}/setup`);
      await expectAccessibleLayout(page, `setup, ${colorScheme}`);
    }
  });
});
