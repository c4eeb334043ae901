import type { Locator, Page, WebSocketRoute } from "@playwright/test";
import { EMAIL, PASSWORD, expect, signIn, test } from "../fixtures.ts";
import { ended, launch, looksRight } from "../steps.ts";

const link = (page: Page) => page.getByTestId("connection");

/** Tabs on until the focus is on `target`. */
async function tabTo(page: Page, target: Locator, key = "Tab") {
  for (let n = 0; n < 80; n++) {
    await page.keyboard.press(key);
    if (await target.evaluateAll((all) => all.some((it) => it === document.activeElement))) return;
  }
  throw new Error(`no Tab leads to ${target}`);
}

test("all the way without a mouse", async ({ page, server }) => {
  await page.goto(`${server.url}/sign-in`);
  await tabTo(page, page.getByLabel("Email"));
  await page.keyboard.type(EMAIL);
  await page.keyboard.press("Tab");
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(`${server.url}/`);
  await expect(link(page)).toHaveText("live");
  await tabTo(page, page.getByRole("button", { name: /sample/i }));
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("job-state")).toBeVisible();
  await expect(link(page)).toHaveText("live");
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to the page" })).toBeFocused();
  await page.keyboard.press("Enter");
  await tabTo(page, page.getByTestId("cell").getByRole("link"));
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("details")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByTestId("details")).toHaveCount(0);
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

test("keys lead to places, to the search, and to their own list", async ({ page, server }) => {
  await signIn(page, server);
  await expect(link(page)).toHaveText("live");
  for (const [key, path] of [["j", "/jobs"], ["m", "/machines"], ["i", "/inbox"], ["l", "/"]]) {
    await page.keyboard.press("g");
    await page.keyboard.press(key!);
    await expect(page).toHaveURL(`${server.url}${path}`);
    await expect(page.locator(".rail [aria-current=page]")).toHaveAttribute("data-key", key!);
  }
  const help = page.getByRole("dialog", { name: "Keyboard and states" });
  await page.keyboard.press("?");
  await expect(help).toBeVisible();
  await expect(help).toContainText("Nobody can tell whether it was done");
  await page.keyboard.press("Escape");
  await expect(help).toBeHidden();
  await page.keyboard.press("/");
  await expect(page.locator("#find")).toBeFocused();
  await page.keyboard.type("?gj/");
  await expect(page.locator("#find"), "a field gets what is typed").toHaveValue("?gj/");
  await expect(help).toBeHidden();

  // Whoever speaks to their computer turns them off.
  await page.locator("main").click();
  await page.keyboard.press("?");
  await help.getByLabel("Turn these keys off in this browser").check();
  await page.keyboard.press("Escape");
  await page.reload();
  await expect(link(page)).toHaveText("live");
  await page.keyboard.press("?");
  await page.keyboard.press("g");
  await page.keyboard.press("j");
  await expect(help).toBeHidden();
  await expect(page).toHaveURL(`${server.url}/`);
});

test("items are found by SKU and jobs by title, one's own alone", async ({ page, server, browser }) => {
  await signIn(page, server);
  const csv = "sku,title,price\nLAMP-1,Oak lamp,19.90\nlamp-2,Birch lamp,29.90\nCHAIR_1,Chair,9.90\n";
  const job = await launch(page, server, "Lamps of June.csv", csv, "acme,bazaar");
  await ended(page, server, job);
  await expect(link(page)).toHaveText("live");
  await page.keyboard.press("/");
  await page.keyboard.type("lamp-");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(`${server.url}/search?q=lamp-`);
  const found = page.getByTestId("found");
  await expect(found).toHaveCount(4);
  await expect(found.first()).toContainText("LAMP-1 on");
  await expect(found.first()).toContainText("Lamps of June.csv");
  await page.getByTestId("search-field").fill("OF JUNE");
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await expect(page.locator(".line")).toHaveCount(1);
  await expect(page.locator(".line")).toContainText("Succeeded");
  for (const [q, items] of [["CHAIR_", 2], ["chair%", 0], ["hair", 0], ["lamp-1", 2]] as const) {
    await page.goto(`${server.url}/search?q=${encodeURIComponent(q)}`);
    await expect(page.getByRole("heading", { name: "Search" })).toBeVisible();
    await expect(found, q).toHaveCount(items);
    if (items === 0) await expect(page.getByText(`Nothing of yours is called “${q}”`)).toBeVisible();
  }
  await found.first().click();
  await expect(page.getByTestId("details")).toContainText("LAMP-1");

  // A search works without scripts.
  const plain = await browser.newContext({ javaScriptEnabled: false, storageState: await page.context().storageState() });
  const still = await plain.newPage();
  await still.goto(`${server.url}/jobs`);
  await still.locator("#find").fill("chair");
  await still.locator("#find").press("Enter");
  await expect(still.getByTestId("found")).toHaveCount(2);
  await still.getByRole("button", { name: /^Your menu/ }).click();
  await still.getByRole("button", { name: "Sign out" }).click();
  await expect(still).toHaveURL(`${server.url}/sign-in`);
  await plain.close();
});

test("the theme goes round from the top bar, where one is", async ({ page, server }) => {
  await signIn(page, server);
  await page.goto(`${server.url}/jobs?before=x`);
  const html = page.locator("html");
  for (const [button, theme] of [["light", "light"], ["dark", "dark"]] as const) {
    await page.getByRole("button", { name: new RegExp(`^Theme: .*Change to ${button}$`) }).click();
    await expect(html).toHaveAttribute("data-theme", theme);
    await expect(page).toHaveURL(`${server.url}/jobs?before=x`);
  }
  await page.getByRole("button", { name: /Change to the device's/ }).click();
  await expect(html).not.toHaveAttribute("data-theme");
});

test("a page that is offline says so, and comes back by itself", async ({ page, context, server, network }) => {
  network.mayFail = true;
  await signIn(page, server);
  await page.goto(`${server.url}/jobs`);
  await expect(link(page)).toHaveText("live");
  await context.setOffline(true);
  await expect(link(page)).toHaveText("offline");
  await expect(page.getByTestId("cut-off")).toContainText("This device is offline.");
  await looksRight(page, "offline");
  const job = await launch(page, server, "meanwhile.csv").catch(() => null);
  expect(job, "a request of the test's own goes out").not.toBeNull();
  await context.setOffline(false);
  await expect(link(page)).toHaveText("live");
  await expect(page.getByTestId("cut-off")).toBeEmpty();
  await expect(page.locator(".line").first()).toContainText("meanwhile.csv");
});

/** Frames of a server that a test plays itself. */
class Hub {
  readonly sockets: WebSocketRoute[] = [];
  readonly hellos: { after: number; epoch: string }[] = [];
  private pongs = 0;

  constructor(page: Page, private readonly answer = true) {
    this.ready = page.routeWebSocket(/\/ws$/, (socket) => {
      this.sockets.push(socket);
      socket.onMessage((text) => {
        const frame = JSON.parse(String(text));
        if (frame.type === "pong") this.pongs++;
        if (frame.type !== "hello") return;
        this.hellos.push(frame);
        if (this.answer) this.say({ type: "welcome", epoch: frame.epoch, seq: frame.after, recovered: true, ping_s: 25, running: [] });
      });
    });
  }

  readonly ready: Promise<void>;

  say(frame: object) {
    this.sockets.at(-1)!.send(JSON.stringify(frame));
  }

  /** Pings, and waits until the page has heard all that was said. */
  async ping() {
    const before = this.pongs;
    this.say({ type: "ping", seq: 0 });
    await expect.poll(() => this.pongs).toBe(before + 1);
  }
}

test("a socket that is silent for 35 s is given up, and asked for again", async ({ page, server }) => {
  await page.clock.install();
  const hub = new Hub(page);
  await hub.ready;
  await signIn(page, server);
  await expect(link(page)).toHaveText("live");
  const before = hub.hellos.length;
  await page.clock.pauseAt(await page.evaluate(() => Date.now() + 1_000));
  await page.clock.runFor(30_000);
  await hub.ping();
  // Each frame begins the silence anew.
  await page.clock.runFor(34_900);
  await expect(link(page)).toHaveText("live");
  expect(hub.hellos.length).toBe(before);
  await page.clock.runFor(100 + 500);
  await expect.poll(() => hub.hellos.length).toBe(before + 1);
  await expect(link(page)).toHaveText("live");
});

test("a dropped socket comes back where it was; a closing one obeys its code", async ({ page, server, network }) => {
  network.mayFail = true;
  await page.clock.install();
  const hub = new Hub(page);
  await hub.ready;
  await signIn(page, server);
  await expect(link(page)).toHaveText("live");
  const { after, epoch } = hub.hellos.at(-1)!;
  const fact = (seq: number) => ({ type: "fact", seq, id: "01a20b3c-4d5e-7f60-8a1b-2c3d4e5f6000", kind: "notifications.read", at: 0, data: { read_up_to: 0 } });
  hub.say(fact(after + 1));
  await hub.ping();
  const opened = hub.hellos.length;
  // Going away: at once, by the seq that came last.
  await hub.sockets.at(-1)!.close({ code: 4200 });
  await page.clock.runFor(1);
  await expect.poll(() => hub.hellos.length).toBe(opened + 1);
  expect(hub.hellos.at(-1)).toMatchObject({ after: after + 1, epoch });
  await expect(link(page)).toHaveText("live");
  // Overloaded: within half a second, then within one: it backs off.
  for (const most of [1_000, 2_000]) {
    const count = hub.hellos.length;
    await hub.sockets.at(-1)!.close({ code: 4113 });
    await expect(link(page)).toHaveText("reconnecting");
    await page.clock.runFor(most);
    await expect.poll(() => hub.hellos.length).toBe(count + 1);
    await expect(link(page)).toHaveText("live");
  }
  // Signed out: never again.
  const count = hub.hellos.length;
  await hub.sockets.at(-1)!.close({ code: 4001 });
  await expect(link(page)).toHaveText("signed out");
  await expect(page.getByTestId("cut-off")).toContainText("You are signed out here");
  await page.clock.runFor(120_000);
  await page.evaluate(() => window.dispatchEvent(new Event("online")));
  expect(hub.hellos.length).toBe(count);
});

test("what is not there says so", async ({ page, server }) => {
  await signIn(page, server);
  const response = await page.request.get(`${server.url}/nowhere`);
  expect(response.status()).toBe(404);
  const body = await response.text();
  expect(body).toContain("There is nothing here");
});

test("the pages fit every size and break no rule of accessibility", async ({ page, server, browser }) => {
  test.setTimeout(180_000);
  await signIn(page, server);
  const csv = "sku,title,price\nLAMP-1,Oak lamp,19.90\nLAMP-SBX-REJECT,A lamp with a rather long title that has to be cut or wrapped somewhere,29.90\n";
  const job = await launch(page, server, "a-rather-long-name-of-a-file-from-june-2026.csv", csv, "acme,bazaar,corner");
  await ended(page, server, job);
  const paths = ["/", "/machines", "/jobs", `/jobs/${job}`, `/jobs/${job}?view=timeline`, "/inbox", "/search", "/search?q=lamp", "/people", "/account"];
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const path of paths) {
      await page.goto(`${server.url}${path}`);
      await expect(link(page)).toHaveText("live");
      await looksRight(page, `${path}, ${colorScheme}`);
    }
    const item = page.locator("[data-testid=cell] a").first();
    await page.goto(`${server.url}/jobs/${job}`);
    await item.click();
    await expect(page.getByTestId("attempt").first()).toBeVisible();
    await looksRight(page, `an item, ${colorScheme}`);
    await page.goto(`${server.url}/inbox`);
    await expect(link(page)).toHaveText("live");
    await page.keyboard.press("?");
    await expect(page.getByRole("dialog")).toBeVisible();
    await looksRight(page, `help, ${colorScheme}`);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: /^Your menu/ }).click();
    await looksRight(page, `menu, ${colorScheme}`);
  }
  // Those without a frame: signed out, and not found, without the console's own words on 404.
  const plain = await browser.newContext();
  const out = await plain.newPage();
  for (const colorScheme of ["light", "dark"] as const) {
    await out.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await out.goto(`${server.url}/sign-in`);
    await out.getByLabel("Email").fill("ada@example.com");
    await out.getByLabel("Password").fill("not-the-password");
    await out.getByRole("button", { name: "Sign in" }).click();
    await expect(out.getByTestId("problem")).toHaveText("Email and password don't match an account.");
    await looksRight(out, `sign-in, ${colorScheme}`);
    await out.goto(`${server.url}/invite/${"0".repeat(64)}`);
    await looksRight(out, `a dead link, ${colorScheme}`);
    await plain.addCookies(await page.context().cookies());
    await out.goto(`${server.url}/nowhere`);
    await expect(out.getByRole("heading", { name: "There is nothing here" })).toBeVisible();
    await looksRight(out, `404, ${colorScheme}`);
    await plain.clearCookies();
  }
  await plain.close();
});

test.describe("before the first account", () => {
  test.use({ settings: {} });

  test("set-up fits every size and breaks no rule", async ({ page, server }) => {
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.goto(server.url);
      await expect(page).toHaveURL(`${server.url}/setup`);
      await looksRight(page, `setup, ${colorScheme}`);
    }
  });
});
