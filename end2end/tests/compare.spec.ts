// Tests the page of the three ways: it runs the comparison, follows it, and shows the figures of its result.
import type { Page } from "@playwright/test";
import { EMAIL, expect, PASSWORD, signIn, test } from "../fixtures.ts";
import { expectAccessibleLayout } from "../helpers.ts";

const settings = { MEANWHILE_ADMIN_EMAIL: EMAIL, MEANWHILE_ADMIN_PASSWORD: PASSWORD, MEANWHILE_SANDBOX_SPEED: "40" };
const SCENARIOS = ["alone", "left", "together", "killed"];
const WAYS = ["synchronous", "asynchronous", "by_events"];
const NOTICES: Record<string, string> = {
  none: "nothing",
  on_request: "if they ask in time",
  response: "by the answer",
  notification: "by a notification",
};

type Figures = {
  scenario: string;
  way: string;
  items: number;
  answer_ms: number | null;
  done_ms: number | null;
  over_limit: number;
  lost: number;
  duplicates: number;
  notice: string;
};

const figure = (page: Page, scenario: string, id: string, way: string) =>
  page.locator(`[data-testid=scenario][data-scenario=${scenario}] [data-testid=${id}][data-way=${way}]`);

const duration = (ms: number) => {
  if (ms < 1_000) return `${ms} ms`;
  return ms < 10_000 ? `${(Math.floor(ms / 100) / 10).toFixed(1)} s` : `${Math.floor(ms / 1_000)} s`;
};

/** Returns the text of each measure as the page has to show it. */
const expectedTexts = (figures: Figures) => ({
  answer: figures.answer_ms === null ? "no answer" : duration(figures.answer_ms),
  done: figures.done_ms === null ? "never" : duration(figures.done_ms),
  "over-limit": `${figures.over_limit}`,
  lost: `${figures.lost} of ${figures.items}`,
  notice: NOTICES[figures.notice],
  ...(figures.scenario === "killed" ? { duplicates: `${figures.duplicates}` } : {}),
});

test.describe("three ways", () => {
  test.use({ settings });
  test.setTimeout(420_000);

  test("a comparison shows its progress and the figures of its result", async ({ page, server }) => {
    await signIn(page, server);
    await page.goto(`${server.url}/channels`);
    await page.getByRole("link", { name: "Three ways to run a batch" }).click();
    await expect(page).toHaveURL(`${server.url}/compare`);
    await expect(page.getByTestId("comparison-empty")).toContainText("The same machine is started");
    await expect(page.getByTestId("connection")).toHaveText("live");
    await expectAccessibleLayout(page, "empty");
    expect((await page.request.get(`${server.url}/compare/result.json`)).status()).toBe(404);

    await page.getByRole("button", { name: "Run the comparison" }).click();
    await expect(page.getByTestId("comparison-running")).toBeVisible();
    await expect(page.getByRole("button", { name: "Run the comparison" })).toHaveCount(0);
    await expect(page.getByTestId("running-way")).toHaveCount(WAYS.length, { timeout: 60_000 });
    const second = await page.request.post(`${server.url}/compare`, {
      headers: { origin: server.url, referer: `${server.url}/compare` },
      maxRedirects: 0,
    });
    expect(second.headers().location).toContain("running%20already");
    await expectAccessibleLayout(page, "running");

    await expect(page.getByTestId("scenario"), "the page follows by itself").toHaveCount(SCENARIOS.length, {
      timeout: 300_000,
    });
    await expect(page.getByTestId("comparison-running")).toHaveCount(0);
    const result = await (await page.request.get(`${server.url}/compare/result.json`)).json();
    const all: Figures[] = result.figures;
    expect(all.map(({ scenario, way }) => `${scenario} ${way}`)).toEqual(
      SCENARIOS.flatMap((scenario) => WAYS.map((way) => `${scenario} ${way}`)),
    );
    for (const figures of all) {
      const { scenario, way } = figures;
      for (const [id, text] of Object.entries(expectedTexts(figures)))
        await expect(figure(page, scenario, id, way), `${scenario}, ${way}, ${id}`).toHaveText(text!);
      const isSafe = way === "by_events" || (scenario !== "killed" && (scenario !== "left" || way === "asynchronous"));
      // The asynchronous way may be done with everything before a busy machine kills it.
      if (scenario !== "killed" || way !== "asynchronous")
        expect(figures.lost === 0, `${scenario}, ${way}: ${figures.lost} lost`).toBe(isSafe);
      if (scenario === "killed" && !isSafe)
        expect(figures.duplicates, `${way}: what was done before the kill is done again`).toBeGreaterThan(0);
    }
    await expect(page.getByTestId("timeline")).toHaveCount(SCENARIOS.length);
    await expectAccessibleLayout(page, "result");
    await page.emulateMedia({ colorScheme: "dark" });
    await expectAccessibleLayout(page, "result in dark");
  });
});

test.describe("without scripts", () => {
  test.use({ settings, javaScriptEnabled: false });

  test("a comparison is started, and seen when the page is loaded again", async ({ page, server }) => {
    await signIn(page, server);
    await page.goto(`${server.url}/compare`);
    await page.getByRole("button", { name: "Run the comparison" }).click();
    await expect(page.getByTestId("comparison-running")).toBeVisible();
    await expect(async () => {
      await page.reload();
      await expect(page.getByTestId("running-way")).toHaveCount(WAYS.length, { timeout: 500 });
    }).toPass({ timeout: 120_000 });
  });
});
