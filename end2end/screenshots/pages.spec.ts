import { csvFile, expect, signIn, test } from "../fixtures.ts";
import { launchJob, waitForJobEnd } from "../helpers.ts";
import { takeScreenshots } from "./take.ts";

const THINGS = ["lamp", "chair", "table", "shelf", "mirror", "rug"];
const WOODS = ["Oak", "Birch", "Walnut", "Brass", "Linen", "Wool", "Slate", "Cork"];

/** Returns a realistic file: most rows are good, some are rejected. */
function productCsv(rows: number, first = 1001) {
  const lines = Array.from({ length: rows }, (_, n) => {
    const sku = `${THINGS[n % 6]!.toUpperCase()}-${first + n}${n % 13 === 5 ? "-SBX-REJECT" : ""}`;
    return `${sku},${WOODS[n % 8]} ${THINGS[n % 6]},${19 + n}.90`;
  });
  return ["sku,title,price", ...lines].join("\n");
}

/** Returns a file whose rows have the faults that people make. */
function faultyCsv() {
  const [header, ...rows] = productCsv(40).split("\n");
  rows[3] = rows[3]!.replace(/[^,]+$/, "on request");
  rows[8] = rows[8]!.replace(/^[^,]+/, "");
  rows[11] = rows[10]!;
  return [header, ...rows].join("\n");
}

const GERMAN_LIST = `Kürzel;Artikel;VK;EK;Lagerort
L-1;Eichenlampe;19,90;9,10;Halle 2
L-2;Birkenlampe;1.299,00;600,00;Halle 2
L-3;Messinglampe;49,00;21,50;Halle 1
`;
const WITH_DRAFTS_AND_SALES = `ID,Type,SKU,Name,Published,Sale price,Regular price
1,simple,L-1,Oak lamp,1,14.90,19.90
2,simple,L-2,Birch lamp,0,,29.90
3,simple,L-3,Brass lamp,-1,,39.90
4,grouped,L-4,Set of lamps,1,,
5,simple,L-5,Linen lamp,1,39.90,49.90
`;

test("takes screenshots of every page", async ({ page, server, browser }) => {
  const signedOutPage = await (await browser.newContext()).newPage();
  await signedOutPage.goto(`${server.url}/sign-in`);
  await signedOutPage.getByLabel("Email").fill("ada@example.com");
  await signedOutPage.getByLabel("Password").fill("not-the-password");
  await signedOutPage.getByRole("button", { name: "Sign in" }).click();
  await expect(signedOutPage.getByTestId("problem")).toBeVisible();
  await takeScreenshots(signedOutPage, "sign-in");
  await signIn(page, server);
  await takeScreenshots(page, "launch-empty");
  for (const [name, content] of [
    ["launch-preview", productCsv(40)],
    ["launch-bad-rows", faultyCsv()],
  ] as const) {
    await page.getByLabel(/CSV file/).setInputFiles(csvFile(content, "winter-2026.csv"));
    await expect(page.getByTestId("check-result")).toContainText("40 rows");
    await takeScreenshots(page, name, true);
    await page.reload();
  }
  for (const [name, content, shown] of [
    ["launch-columns", GERMAN_LIST, "columns"],
    ["launch-prices", "sku,title,price\nL-1,Oak lamp,1.500\nL-2,Gift,0\n", "choice-decimal"],
    ["launch-choices", WITH_DRAFTS_AND_SALES, "choice-drafts"],
  ] as const) {
    await page.getByLabel(/CSV file/).setInputFiles(csvFile(content, "winter-2026.csv"));
    await expect(page.getByTestId(shown)).toBeVisible();
    await takeScreenshots(page, name, true);
    await page.reload();
  }
  await page.getByLabel(/CSV file/).setInputFiles(csvFile("\n\n", "winter-2026.csv"));
  await expect(page.getByTestId("problem")).toBeVisible();
  await takeScreenshots(page, "launch-rejected");
  await page.goto(`${server.url}/jobs`);
  await takeScreenshots(page, "jobs-empty");
  await page.goto(`${server.url}/inbox`);
  await expect(page.getByTestId("notification-settings")).toBeVisible();
  await takeScreenshots(page, "inbox-empty");
  const machines = await page.request.post(`${server.url}/api/v1/jobs/ec2-starts`, {
    headers: { origin: server.url },
    data: { instance_ids: ["i-0a1b2c3d4e5f60001", "i-0a1b2c3d4e5f60002"] },
  });
  const first = await launchJob(page, server, "spring-lamps.csv", productCsv(24), "acme,bazaar");
  await waitForJobEnd(page, server, first);
  await page.getByRole("button", { name: "Mark all as read" }).click();
  const done = await launchJob(
    page,
    server,
    "Autumn catalogue, furniture and lighting.csv",
    productCsv(60),
    "acme,bazaar,corner,depot",
  );
  await waitForJobEnd(page, server, done);
  const open = await launchJob(page, server, "winter-2026.csv", productCsv(400, 3001), "acme,bazaar,corner,depot");
  await page.goto(`${server.url}/jobs/${open}?accepted=1`);
  await expect(page.getByTestId("connection")).toHaveText("live");
  await expect(page.locator("[data-testid=cell][data-state=succeeded]").nth(20)).toBeVisible({ timeout: 60_000 });
  await takeScreenshots(page, "job-running");
  await page.goto(`${server.url}/jobs/${done}`);
  await takeScreenshots(page, "job-done");
  await page.goto(`${server.url}/jobs/${done}?q=sofa`);
  await expect(page.getByTestId("matching-count")).toContainText("No items match");
  await takeScreenshots(page, "job-no-match");
  await page.goto(`${server.url}/jobs/${done}`);
  await page.locator("[data-testid=cell][data-state=rejected] a").first().click();
  await expect(page.getByTestId("attempt").first()).toBeVisible();
  await takeScreenshots(page, "job-item");
  for (const view of ["timeline", "flow"]) {
    await page.goto(`${server.url}/jobs/${done}?view=${view}`);
    await expect(page.getByTestId("connection")).toHaveText("live");
    await takeScreenshots(page, `job-${view}`);
  }
  if (machines.ok()) {
    await page.goto(`${server.url}/jobs/${(await machines.json()).job.id}`);
    await takeScreenshots(page, "job-machines");
  }
  for (const [name, path] of [
    ["launch", "/"],
    ["machines", "/machines"],
    ["channels", "/channels"],
    ["jobs", "/jobs"],
    ["jobs-no-match", "/jobs?q=sofa"],
    ["inbox", "/inbox"],
    ["search", "/search?q=lamp-10"],
    ["search-nothing", "/search?q=sofa"],
    ["people", "/people"],
    ["account", "/account"],
  ]) {
    await page.goto(`${server.url}${path}`);
    await expect(page.getByTestId("connection")).toHaveText("live");
    await takeScreenshots(page, name!);
  }
  // A page whose console is not checked, because the browser logs the 404.
  const nowhere = await page.context().newPage();
  await nowhere.goto(`${server.url}/nowhere`);
  await takeScreenshots(nowhere, "missing");
  await page.goto(`${server.url}/people`);
  await page.getByLabel("Email").fill("bob@example.com");
  await page.getByRole("button", { name: "Create the link" }).click();
  const link = await page.getByTestId("one-time-link").inputValue();
  await takeScreenshots(page, "people-link");
  await signedOutPage.goto(link);
  await takeScreenshots(signedOutPage, "invite");
  await page.goto(`${server.url}/inbox`);
  await expect(page.getByTestId("connection")).toHaveText("live");
  await launchJob(page, server, "one-more.csv", productCsv(2), "acme");
  await launchJob(page, server, "odd-ones.csv", "sku,title,price\nODD-SBX-REJECT,Odd,1\n", "acme");
  await expect(page.getByTestId("toast")).toHaveCount(2, { timeout: 60_000 });
  await takeScreenshots(page, "toasts");
  await page.getByRole("button", { name: /^Your menu/ }).click();
  await takeScreenshots(page, "menu");
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  await takeScreenshots(page, "help");
  await page.keyboard.press("Escape");
  await page.context().setOffline(true);
  await expect(page.getByTestId("connection-alert")).toContainText("offline");
  await takeScreenshots(page, "offline");
  await page.context().setOffline(false);
});

test.describe("before the first account", () => {
  test.use({ settings: {} });

  test("takes screenshots of the set-up page", async ({ page, server }) => {
    await page.goto(server.url);
    await takeScreenshots(page, "setup");
  });
});
