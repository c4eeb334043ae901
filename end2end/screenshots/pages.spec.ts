import { mkdirSync } from "node:fs";
import type { Page } from "@playwright/test";
import { expect, signIn, test } from "../fixtures.ts";
import { SIZES, ended, launch } from "../steps.ts";

const FOLDER = process.env.SHOTS ?? "shots";
const only = process.env.ONLY;
mkdirSync(FOLDER, { recursive: true });

const THINGS = ["lamp", "chair", "table", "shelf", "mirror", "rug"];
const WOODS = ["Oak", "Birch", "Walnut", "Brass", "Linen", "Wool", "Slate", "Cork"];

/** A file as people have them: most of it good, some of it refused. */
function feed(rows: number) {
  const lines = Array.from({ length: rows }, (_, n) => {
    const sku = `${THINGS[n % 6]!.toUpperCase()}-${1001 + n}${n % 13 === 5 ? "-SBX-REJECT" : ""}`;
    return `${sku},${WOODS[n % 8]} ${THINGS[n % 6]},${19 + n}.90`;
  });
  return ["sku,title,price", ...lines].join("\n");
}

async function shoot(page: Page, name: string) {
  if (only && !name.includes(only)) return;
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    for (const width of SIZES) {
      await page.setViewportSize({ width, height: width === 360 ? 740 : 900 });
      await page.screenshot({ path: `${FOLDER}/${name}-${width}-${colorScheme}.png`, animations: "disabled" });
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 });
}

test("every page", async ({ page, server, browser }) => {
  const out = await (await browser.newContext()).newPage();
  await out.goto(`${server.url}/sign-in`);
  await out.getByLabel("Email").fill("ada@example.com");
  await out.getByLabel("Password").fill("not-the-password");
  await out.getByRole("button", { name: "Sign in" }).click();
  await expect(out.getByTestId("problem")).toBeVisible();
  await shoot(out, "sign-in");
  await signIn(page, server);
  await shoot(page, "launch-empty");
  await page.goto(`${server.url}/jobs`);
  await shoot(page, "jobs-empty");
  await page.goto(`${server.url}/inbox`);
  await expect(page.getByTestId("notices")).toBeVisible();
  await shoot(page, "inbox-empty");
  const machines = await page.request.post(`${server.url}/api/v1/jobs/ec2-starts`, {
    headers: { origin: server.url },
    data: { instance_ids: ["i-0a1b2c3d4e5f60001", "i-0a1b2c3d4e5f60002"] },
  });
  const first = await launch(page, server, "spring-lamps.csv", feed(24), "acme,bazaar");
  await ended(page, server, first);
  await page.getByRole("button", { name: "Mark all as read" }).click();
  const done = await launch(page, server, "Autumn catalogue, furniture and lighting.csv", feed(60), "acme,bazaar,corner");
  await ended(page, server, done);
  const open = await launch(page, server, "winter-2026.csv", feed(400), "acme,bazaar,corner");
  await page.goto(`${server.url}/jobs/${open}?accepted=1`);
  await expect(page.getByTestId("connection")).toHaveText("live");
  await expect(page.locator("[data-testid=cell][data-state=succeeded]").nth(20)).toBeVisible();
  await shoot(page, "job-running");
  await page.goto(`${server.url}/jobs/${done}`);
  await shoot(page, "job-done");
  await page.locator("[data-testid=cell][data-state=failed] a").first().click();
  await expect(page.getByTestId("attempt").first()).toBeVisible();
  await shoot(page, "job-item");
  for (const view of ["timeline", "flow"]) {
    await page.goto(`${server.url}/jobs/${done}?view=${view}`);
    await expect(page.getByTestId("connection")).toHaveText("live");
    await shoot(page, `job-${view}`);
  }
  if (machines.ok()) {
    await page.goto(`${server.url}/jobs/${(await machines.json()).job.id}`);
    await shoot(page, "job-machines");
  }
  for (const [name, path] of [
    ["launch", "/"],
    ["machines", "/machines"],
    ["jobs", "/jobs"],
    ["inbox", "/inbox"],
    ["search", "/search?q=lamp-10"],
    ["search-nothing", "/search?q=sofa"],
    ["people", "/people"],
    ["account", "/account"],
  ]) {
    await page.goto(`${server.url}${path}`);
    await expect(page.getByTestId("connection")).toHaveText("live");
    await shoot(page, name!);
  }
  // Nobody watches its console, which has words of its own on a 404.
  const nowhere = await page.context().newPage();
  await nowhere.goto(`${server.url}/nowhere`);
  await shoot(nowhere, "missing");
  await page.goto(`${server.url}/people`);
  await page.getByLabel("Email").fill("bob@example.com");
  await page.getByRole("button", { name: "Make the link" }).click();
  const link = await page.getByTestId("new-link").inputValue();
  await shoot(page, "people-link");
  await out.goto(link);
  await shoot(out, "invite");
  await page.goto(`${server.url}/inbox`);
  await expect(page.getByTestId("connection")).toHaveText("live");
  await launch(page, server, "one-more.csv", feed(2), "acme");
  await launch(page, server, "odd-ones.csv", "sku,title,price\nODD-SBX-REJECT,Odd,1\n", "acme");
  await expect(page.getByTestId("toast")).toHaveCount(2, { timeout: 60_000 });
  await shoot(page, "toasts");
  await page.getByRole("button", { name: /^Your menu/ }).click();
  await shoot(page, "menu");
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  await shoot(page, "help");
  await page.keyboard.press("Escape");
  await page.context().setOffline(true);
  await expect(page.getByTestId("cut-off")).toContainText("offline");
  await shoot(page, "offline");
  await page.context().setOffline(false);
});

test.describe("before the first account", () => {
  test.use({ settings: {} });

  test("set-up", async ({ page, server }) => {
    await page.goto(server.url);
    await shoot(page, "setup");
  });
});
