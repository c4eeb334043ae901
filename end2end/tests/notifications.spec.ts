import type { BrowserContext, Page, Worker } from "@playwright/test";
import { expect, signIn, test } from "../fixtures.ts";
import { launchJob, pauseClock, waitForJobEnd } from "../helpers.ts";

const expectLive = (page: Page) => expect(page.getByTestId("connection")).toHaveText("live");

/** Returns the worker that shows notifications; it finds no tab unless `tabIsVisible`. */
async function serviceWorker(context: BrowserContext, tabIsVisible: boolean): Promise<Worker> {
  const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent("serviceworker"));
  await expect.poll(() => worker.evaluate("self.registration.active?.state")).toBe("activated");
  // A browser without a screen reports every tab as visible.
  if (!tabIsVisible) await worker.evaluate("Clients.prototype.matchAll = async () => []");
  return worker;
}

const shownTitles = (worker: Worker) =>
  worker.evaluate("self.registration.getNotifications().then((all) => all.map((it) => it.title).sort())");

/** Records what the tabs send to the worker; returns a function that counts notifications. */
async function recordMessages(worker: Worker) {
  await worker.evaluate(
    "self.receivedMessages = []; self.addEventListener('message', (e) => self.receivedMessages.push(JSON.parse(e.data)))",
  );
  return () => worker.evaluate("self.receivedMessages.filter((it) => it.kind === 'notification').length");
}

test("only a button requests the permission, and the pages show the choice", async ({ page, context, server }) => {
  await page.addInitScript(() => {
    const requestPermission = Notification.requestPermission.bind(Notification);
    Notification.requestPermission = async () => {
      (window as unknown as { permissionRequested: number }).permissionRequested = 1;
      return requestPermission();
    };
  });
  await signIn(page, server);
  await expectLive(page);
  const permissionButton = page.getByRole("button", { name: "Notify me in the background too" });
  await expect(permissionButton).toHaveCount(0);
  const job = await launchJob(page, server);
  await page.goto(`${server.url}/jobs/${job}?accepted=1`);
  await expect(permissionButton).toBeVisible();
  expect(await page.evaluate(() => "permissionRequested" in window), "requested on load").toBe(false);
  await page.goto(`${server.url}/account`);
  await expect(page.getByTestId("notification-settings")).toContainText("Off.");
  await page.goto(`${server.url}/jobs/${job}?accepted=1`);
  await expect(permissionButton).toBeVisible();
  await context.grantPermissions(["notifications"]);
  await permissionButton.click();
  await expect(permissionButton).toHaveCount(0);
  await serviceWorker(context, true);
  await page.goto(`${server.url}/account`);
  await expect(page.getByTestId("notification-settings")).toContainText("On.");
});

test("a user who blocked notifications gets an explanation", async ({ page, server }) => {
  await page.addInitScript(() => Object.defineProperty(Notification, "permission", { get: () => "denied" }));
  await signIn(page, server);
  await page.goto(`${server.url}/inbox`);
  await expect(page.getByTestId("notification-settings")).toContainText("Blocked");
  await page.goto(`${server.url}/?accepted=1`);
  await expectLive(page);
  await expect(page.getByRole("button", { name: /Notify me/ })).toHaveCount(0);
});

test("a browser that does not support notifications gets an explanation", async ({ page, server }) => {
  await page.addInitScript(() => Reflect.deleteProperty(window, "Notification"));
  await signIn(page, server);
  await page.goto(`${server.url}/account`);
  await expect(page.getByTestId("notification-settings")).toContainText("can't show notifications here");
});

test("three tabs in the background show one notification, and reading closes it", async ({
  page,
  context,
  server,
  browser,
}) => {
  await context.grantPermissions(["notifications"]);
  await signIn(page, server);
  const tabs = [page, await context.newPage(), await context.newPage()];
  for (const tab of tabs.slice(1)) await tab.goto(`${server.url}/jobs`);
  for (const tab of tabs) await expectLive(tab);
  const worker = await serviceWorker(context, false);
  const messageCount = await recordMessages(worker);
  const job = await launchJob(page, server);
  for (const tab of tabs) await expect(tab.getByTestId("toast")).toContainText("lamps.csv is done");
  await expect.poll(messageCount, "each tab sent it to the worker").toBe(3);
  await expect.poll(() => shownTitles(worker)).toEqual(["lamps.csv is done"]);
  const second = await launchJob(page, server, "more.csv");
  await waitForJobEnd(page, server, second);
  await expect.poll(messageCount).toBe(6);
  await expect.poll(() => shownTitles(worker)).toEqual(["lamps.csv is done", "more.csv is done"]);
  expect(job).not.toBe(second);

  // Reading in another browser clears this one's unread count, toasts and notifications.
  const otherPage = await (await browser.newContext()).newPage();
  await signIn(otherPage, server);
  await otherPage.goto(`${server.url}/inbox`);
  await otherPage.getByRole("button", { name: "Mark all as read" }).click();
  for (const tab of tabs) {
    await expect(tab.getByTestId("unread-count")).toBeHidden();
    await expect(tab.getByTestId("toast")).toHaveCount(0);
  }
  await expect.poll(() => shownTitles(worker)).toEqual([]);
  await otherPage.context().close();
});

test("no notification is shown while a tab is visible", async ({ page, context, server }) => {
  await context.grantPermissions(["notifications"]);
  await signIn(page, server);
  await expectLive(page);
  const worker = await serviceWorker(context, true);
  const messageCount = await recordMessages(worker);
  await launchJob(page, server);
  await expect(page.getByTestId("toast")).toContainText("lamps.csv is done");
  await expect.poll(messageCount).toBe(1);
  await worker.evaluate("pendingWork");
  expect(await shownTitles(worker)).toEqual([]);
});

test("the tab's title and icon show the unread count, and reading on one tab clears it on all", async ({
  page,
  context,
  server,
}) => {
  await signIn(page, server);
  await page.goto(`${server.url}/inbox`);
  await expect(page.getByText("Nothing yet.")).toBeVisible();
  await expectLive(page);
  const icon = () => page.locator("link[rel=icon]").getAttribute("href");
  const iconWithoutCount = await icon();
  const tab = await context.newPage();
  await tab.goto(`${server.url}/inbox`);
  await expectLive(tab);
  for (const file of ["one.csv", "two.csv"]) await launchJob(page, server, file);
  await expect(page).toHaveTitle("(2) Inbox");
  expect(await icon()).not.toBe(iconWithoutCount);
  await expect(page.locator(".list-item.unread")).toHaveCount(2);
  await expect(tab.locator(".list-item.unread")).toHaveCount(2);
  await expect(page.getByRole("link", { name: "Inbox, 2 unread" })).toBeVisible();
  await page.getByRole("button", { name: "Mark all as read" }).click();
  await expect(page.locator(".list-item.unread")).toHaveCount(0);
  await expect(tab.locator(".list-item.unread")).toHaveCount(0);
  await expect(tab.getByRole("button", { name: "Mark all as read" })).toBeHidden();
  for (const each of [page, tab]) await expect(each).toHaveTitle("Inbox");
  expect(await icon()).toBe(iconWithoutCount);
  await page.locator(".list-item").first().click();
  await expect(page.getByTestId("job-state")).toHaveText("Succeeded");
});

test("toasts stack, stay while they are read, and close by key", async ({ page, server }) => {
  await page.clock.install();
  await signIn(page, server);
  await expectLive(page);
  // Otherwise the first toast could time out before the last one appears.
  await pauseClock(page);
  const jobs: string[] = [];
  for (const n of [1, 2, 3, 4]) jobs.push(await launchJob(page, server, `batch-${n}.csv`));
  for (const job of jobs) await waitForJobEnd(page, server, job);
  const toasts = page.getByTestId("toast");
  await expect(async () => {
    // Received frames are applied by a timer.
    await page.clock.runFor(100);
    await expect(page.getByRole("link", { name: "1 more in the inbox" })).toBeVisible({ timeout: 1_000 });
  }).toPass({ timeout: 60_000 });
  await expect(toasts).toHaveCount(3);
  // The jobs may end in any order.
  const titles = await toasts.getByRole("link").allTextContents();
  for (const title of titles) expect(title).toMatch(/^batch-\d\.csv is done$/);
  await page.keyboard.press("Escape");
  await expect(toasts.last(), "the newest one is closed").toContainText(titles[1]!);
  await expect(toasts).toHaveCount(3);
  await toasts
    .last()
    .getByRole("button", { name: `Dismiss: ${titles[1]}` })
    .press("Enter");
  await expect(toasts).toHaveCount(2);
  // A toast stays while the pointer is on it.
  await toasts.first().hover();
  await page.clock.runFor(60_000);
  await expect(toasts).toHaveCount(2);
  await page.mouse.move(0, 0);
  await page.clock.runFor(60_000);
  await expect(toasts).toHaveCount(0);
  await expect(page.getByTestId("unread-count"), "still unread").toHaveText("4");
});

test("a returning user sees once what they missed", async ({ page, server, context }) => {
  await signIn(page, server);
  await expectLive(page);
  await page.goto("about:blank");
  const csv = "sku,title,price\nODD-SBX-DROPONCE,Odd lamp,19.90\n";
  await waitForJobEnd(page, server, await launchJob(page, server, "one.csv"));
  await waitForJobEnd(page, server, await launchJob(page, server, "two.csv"));
  await waitForJobEnd(page, server, await launchJob(page, server, "odd.csv", csv, "corner"));
  // Pretends that the page was left an hour ago.
  const setLastSeen = async (ms: number) => {
    const before = (state: string) => state.replace(/\d+(\.\d+)?$/, String(Date.now() - ms));
    const { origins } = await context.storageState();
    const lastSeen = origins.flatMap((it) => it.localStorage).find((it) => it.name === "meanwhile.last-seen")!;
    await page.addInitScript(
      ([name, value]) => {
        if (location.protocol !== "about:" && !sessionStorage.getItem("last-seen-set")) {
          localStorage.setItem(name!, value!);
          sessionStorage.setItem("last-seen-set", "1");
        }
      },
      [lastSeen.name, before(lastSeen.value)],
    );
  };
  await setLastSeen(3_600_000);
  await page.goto(`${server.url}/jobs`);
  await expect(page.getByTestId("missed-banner")).toContainText(
    /While you were away: (3 jobs finished|2 jobs finished, 1 needs you)\./,
  );
  await page.getByTestId("missed-banner").getByRole("button", { name: "Dismiss" }).click();
  await expect(page.getByTestId("missed-banner")).toHaveCount(0);
  await page.reload();
  await expectLive(page);
  await expect(page.getByTestId("unread-count")).toHaveText("3");
  await expect(page.getByTestId("missed-banner")).toHaveCount(0);
});
