// Tests the page of the three ways: an admin runs the comparison and sees what the command prints.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Page } from "@playwright/test";
import { EMAIL, expect, PASSWORD, signIn, test } from "../fixtures.ts";
import { expectAccessibleLayout } from "../helpers.ts";

const SPEED = "40";
const settings = { MEANWHILE_ADMIN_EMAIL: EMAIL, MEANWHILE_ADMIN_PASSWORD: PASSWORD, MEANWHILE_SANDBOX_SPEED: SPEED };
const SCENARIOS = ["alone", "left", "together", "killed"];
const WAYS = ["synchronous", "asynchronous", "by_events"];

type Figures = { scenario: string; way: string; missing: number; duplicates: number };

const figure = (page: Page, scenario: string, id: string, way: string) =>
  page.locator(`[data-testid=scenario][data-scenario=${scenario}] [data-testid=${id}][data-way=${way}]`);

test.describe("three ways", () => {
  test.use({ settings });
  test.setTimeout(150_000);

  test("a comparison shows its progress and its result, as the command does", async ({ page, server }) => {
    await signIn(page, server);
    await page.goto(`${server.url}/channels`);
    await page.getByRole("link", { name: "Three ways to run a batch" }).click();
    await expect(page).toHaveURL(`${server.url}/compare`);
    await expect(page.getByTestId("comparison-empty")).toContainText("The same machine is started");
    await expect(page.getByTestId("connection")).toHaveText("live");
    await expectAccessibleLayout(page, "empty");

    await page.getByRole("button", { name: "Run the comparison" }).click();
    await expect(page.getByTestId("comparison-running")).toBeVisible();
    await expect(page.getByRole("button", { name: "Run the comparison" })).toHaveCount(0);
    await expect(page.getByTestId("running-way")).toHaveCount(3);
    const second = await page.request.post(`${server.url}/compare`, {
      headers: { origin: server.url, referer: `${server.url}/compare` },
      maxRedirects: 0,
    });
    expect(second.headers().location).toContain("running%20already");
    await expectAccessibleLayout(page, "running");

    await expect(page.getByTestId("scenario"), "the page follows by itself").toHaveCount(4, { timeout: 60_000 });
    await expect(page.getByTestId("comparison-running")).toHaveCount(0);
    for (const scenario of SCENARIOS) {
      await expect(figure(page, scenario, "lost", "by_events")).toHaveText(/^0 of (14|56)$/);
      await expect(figure(page, scenario, "notice", "by_events")).toHaveText("by a notification");
    }
    await expect(figure(page, "killed", "duplicates", "by_events")).toHaveText("0");
    await expect(figure(page, "left", "lost", "synchronous")).toHaveText(/^[1-9]\d* of 14$/);
    for (const way of ["synchronous", "asynchronous"]) {
      await expect(figure(page, "killed", "lost", way)).toHaveText(/^[1-9]\d* of 14$/);
      await expect(figure(page, "killed", "notice", way)).toHaveText("nothing");
    }
    await expect(page.getByTestId("timeline")).toHaveCount(4);
    await expectAccessibleLayout(page, "result");

    const args = ["compare", "--json", "--speed", SPEED];
    const binary = process.env.MEANWHILE_BIN ?? "../target/debug/meanwhile";
    const { stdout } = await promisify(execFile)(binary, args, { maxBuffer: 8 << 20 });
    const figures: Figures[] = JSON.parse(stdout.trim().split("\n").at(-1) ?? "").result.figures;
    expect(figures.map(({ scenario, way }) => `${scenario} ${way}`)).toEqual(
      SCENARIOS.flatMap((scenario) => WAYS.map((way) => `${scenario} ${way}`)),
    );
    for (const { scenario, way, missing } of figures) {
      const isLost = !(await figure(page, scenario, "lost", way).textContent())?.startsWith("0 ");
      expect(missing > 0, `${scenario} ${way}`).toBe(isLost);
    }
  });
});

test("people who are no admins see the page and start nothing", async ({ page, server, browser }) => {
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
  await bob.goto(`${server.url}/compare`);
  await expect(bob.getByText("An admin can run the comparison here.")).toBeVisible();
  await expect(bob.getByRole("button", { name: "Run the comparison" })).toHaveCount(0);
  const answer = await bob.request.post(`${server.url}/compare`, { headers: { origin: server.url } });
  expect(answer.status()).toBe(404);
  await bob.context().close();
});
