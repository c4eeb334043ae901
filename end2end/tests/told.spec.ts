import type { BrowserContext, Page, Worker } from "@playwright/test";
import { expect, signIn, test } from "../fixtures.ts";
import { ended, launch } from "../steps.ts";

const live = (page: Page) => expect(page.getByTestId("connection")).toHaveText("live");

/** The worker that shows notices; `seen`: whether it finds a tab of ours seen. */
async function worker(context: BrowserContext, seen: boolean): Promise<Worker> {
  const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent("serviceworker"));
  await expect.poll(() => worker.evaluate("self.registration.active?.state")).toBe("activated");
  // A browser without a screen calls every tab visible.
  if (!seen) await worker.evaluate("Clients.prototype.matchAll = async () => []");
  return worker;
}

const shown = (worker: Worker) =>
  worker.evaluate("self.registration.getNotifications().then((all) => all.map((it) => it.title).sort())");

/** Every notification of this browser that reached the worker, by tab. */
async function handed(worker: Worker) {
  await worker.evaluate("self.heard = []; self.addEventListener('message', (e) => self.heard.push(JSON.parse(e.data)))");
  return () => worker.evaluate("self.heard.filter((it) => it.kind === 'told').length");
}

test("a browser is asked from a button alone, and its choice is told", async ({ page, context, server }) => {
  await page.addInitScript(() => {
    const ask = Notification.requestPermission.bind(Notification);
    Notification.requestPermission = async () => {
      (window as unknown as { asked: number }).asked = 1;
      return ask();
    };
  });
  await signIn(page, server);
  await live(page);
  const offer = page.getByRole("button", { name: "Tell me also when this tab is in the background" });
  await expect(offer).toHaveCount(0);
  const job = await launch(page, server);
  await page.goto(`${server.url}/jobs/${job}?accepted=1`);
  await expect(offer).toBeVisible();
  expect(await page.evaluate(() => "asked" in window), "asked on load").toBe(false);
  await page.goto(`${server.url}/account`);
  await expect(page.getByTestId("notices")).toContainText("Off.");
  await page.goto(`${server.url}/jobs/${job}?accepted=1`);
  await expect(offer).toBeVisible();
  await context.grantPermissions(["notifications"]);
  await offer.click();
  await expect(offer).toHaveCount(0);
  await worker(context, true);
  await page.goto(`${server.url}/account`);
  await expect(page.getByTestId("notices")).toContainText("On.");
});

test("who blocked notices is told in words", async ({ page, server }) => {
  await page.addInitScript(() => Object.defineProperty(Notification, "permission", { get: () => "denied" }));
  await signIn(page, server);
  await page.goto(`${server.url}/inbox`);
  await expect(page.getByTestId("notices")).toContainText("Blocked");
  await page.goto(`${server.url}/?accepted=1`);
  await live(page);
  await expect(page.getByRole("button", { name: /Tell me/ })).toHaveCount(0);
});

test("a browser that knows no notices is told in words", async ({ page, server }) => {
  await page.addInitScript(() => Reflect.deleteProperty(window, "Notification"));
  await signIn(page, server);
  await page.goto(`${server.url}/account`);
  await expect(page.getByTestId("notices")).toContainText("can't show notices here");
});

test("three tabs in the background, one notice; reading takes it away", async ({ page, context, server, browser }) => {
  await context.grantPermissions(["notifications"]);
  await signIn(page, server);
  const tabs = [page, await context.newPage(), await context.newPage()];
  for (const tab of tabs.slice(1)) await tab.goto(`${server.url}/jobs`);
  for (const tab of tabs) await live(tab);
  const notices = await worker(context, false);
  const came = await handed(notices);
  const job = await launch(page, server);
  for (const tab of tabs) await expect(tab.getByTestId("toast")).toContainText("lamps.csv is done");
  await expect.poll(came, "each tab handed it over").toBe(3);
  await expect.poll(() => shown(notices)).toEqual(["lamps.csv is done"]);
  const second = await launch(page, server, "more.csv");
  await ended(page, server, second);
  await expect.poll(came).toBe(6);
  await expect.poll(() => shown(notices)).toEqual(["lamps.csv is done", "more.csv is done"]);
  expect(job).not.toBe(second);

  // Read in another browser is read in this one: bell, toasts and notices.
  const elsewhere = await (await browser.newContext()).newPage();
  await signIn(elsewhere, server);
  await elsewhere.goto(`${server.url}/inbox`);
  await elsewhere.getByRole("button", { name: "Mark all as read" }).click();
  for (const tab of tabs) {
    await expect(tab.getByTestId("bell-count")).toBeHidden();
    await expect(tab.getByTestId("toast")).toHaveCount(0);
  }
  await expect.poll(() => shown(notices)).toEqual([]);
  await elsewhere.context().close();
});

test("no notice while a tab is seen", async ({ page, context, server }) => {
  await context.grantPermissions(["notifications"]);
  await signIn(page, server);
  await live(page);
  const notices = await worker(context, true);
  const came = await handed(notices);
  await launch(page, server);
  await expect(page.getByTestId("toast")).toContainText("lamps.csv is done");
  await expect.poll(came).toBe(1);
  await notices.evaluate("turn");
  expect(await shown(notices)).toEqual([]);
});

test("the tab's title and icon count, and read on one tab is read on all", async ({ page, context, server }) => {
  await signIn(page, server);
  await page.goto(`${server.url}/inbox`);
  await expect(page.getByText("Nothing yet.")).toBeVisible();
  await live(page);
  const icon = () => page.locator("link[rel=icon]").getAttribute("href");
  const bare = await icon();
  const tab = await context.newPage();
  await tab.goto(`${server.url}/inbox`);
  await live(tab);
  for (const file of ["one.csv", "two.csv"]) await launch(page, server, file);
  await expect(page).toHaveTitle("(2) Inbox");
  expect(await icon()).not.toBe(bare);
  await expect(page.locator(".line.unread")).toHaveCount(2);
  await expect(tab.locator(".line.unread")).toHaveCount(2);
  await expect(page.getByRole("link", { name: "Inbox, 2 unread" })).toBeVisible();
  await page.getByRole("button", { name: "Mark all as read" }).click();
  await expect(page.locator(".line.unread")).toHaveCount(0);
  await expect(tab.locator(".line.unread")).toHaveCount(0);
  await expect(tab.getByRole("button", { name: "Mark all as read" })).toBeHidden();
  for (const each of [page, tab]) await expect(each).toHaveTitle("Inbox");
  expect(await icon()).toBe(bare);
  await page.locator(".line").first().click();
  await expect(page.getByTestId("job-state")).toHaveText("Succeeded");
});

test("toasts stack, wait to be read, and go by key", async ({ page, server }) => {
  await page.clock.install();
  await signIn(page, server);
  await live(page);
  for (const n of [1, 2, 3, 4]) await ended(page, server, await launch(page, server, `batch-${n}.csv`));
  const toasts = page.getByTestId("toast");
  await expect(toasts).toHaveCount(3);
  await expect(page.getByRole("link", { name: "1 more in the inbox" })).toBeVisible();
  await expect(toasts.last()).toContainText("batch-4.csv is done");
  await page.keyboard.press("Escape");
  await expect(toasts).toHaveCount(3);
  await expect(toasts.last()).toContainText("batch-3.csv is done");
  await toasts.last().getByRole("button", { name: "Dismiss: batch-3.csv is done" }).press("Enter");
  await expect(toasts).toHaveCount(2);
  // Whoever points at them is reading.
  await toasts.first().hover();
  await page.clock.runFor(60_000);
  await expect(toasts).toHaveCount(2);
  await page.mouse.move(0, 0);
  await page.clock.runFor(60_000);
  await expect(toasts).toHaveCount(0);
  await expect(page.getByTestId("bell-count"), "still unread").toHaveText("4");
});

test("who comes back after a while is told what was missed, once", async ({ page, server, context }) => {
  await signIn(page, server);
  await live(page);
  await page.goto("about:blank");
  const csv = "sku,title,price\nODD-SBX-DROPONCE,Odd lamp,19.90\n";
  await ended(page, server, await launch(page, server, "one.csv"));
  await ended(page, server, await launch(page, server, "two.csv"));
  await ended(page, server, await launch(page, server, "odd.csv", csv, "corner"));
  // As if the page had been left an hour ago.
  const ago = async (ms: number) => {
    const before = (state: string) => state.replace(/\d+(\.\d+)?$/, String(Date.now() - ms));
    const { origins } = await context.storageState();
    const kept = origins.flatMap((it) => it.localStorage).find((it) => it.name === "meanwhile.seen")!;
    await page.addInitScript(
      ([name, value]) => {
        if (location.protocol !== "about:" && !sessionStorage.getItem("left")) {
          localStorage.setItem(name!, value!);
          sessionStorage.setItem("left", "1");
        }
      },
      [kept.name, before(kept.value)],
    );
  };
  await ago(3_600_000);
  await page.goto(`${server.url}/jobs`);
  await expect(page.getByTestId("away")).toContainText(/While you were away: (3 jobs finished|2 jobs finished, 1 needs you)\./);
  await page.getByTestId("away").getByRole("button", { name: "Dismiss" }).click();
  await expect(page.getByTestId("away")).toHaveCount(0);
  await page.reload();
  await live(page);
  await expect(page.getByTestId("bell-count")).toHaveText("3");
  await expect(page.getByTestId("away")).toHaveCount(0);
});
