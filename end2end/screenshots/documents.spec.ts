// Takes the pictures of the documents, light and dark: a job in progress, at 1440 px, and what the
// three ways lose when the server is killed.
//   make pictures
import { mkdirSync } from "node:fs";
import type { Locator, Page } from "@playwright/test";
import { EMAIL, expect, PASSWORD, signIn, test } from "../fixtures.ts";
import { launchJob } from "../helpers.ts";

const FOLDER = "../docs/pictures";

test.use({
  viewport: { width: 1440, height: 900 },
  // Slow enough for both pictures to show the job in progress.
  settings: { MEANWHILE_ADMIN_EMAIL: EMAIL, MEANWHILE_ADMIN_PASSWORD: PASSWORD, MEANWHILE_SANDBOX_SPEED: "3" },
});

/** Takes the picture of the page, or of a part of it, in both themes. */
async function takePicture(page: Page, name: string, part: Page | Locator = page) {
  mkdirSync(FOLDER, { recursive: true });
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    await part.screenshot({ path: `${FOLDER}/${name}-${colorScheme}.png`, animations: "disabled" });
  }
}

/** Returns a file in which the channels reject a product near the beginning. */
function productCsv() {
  const things = ["Lamp", "Chair", "Table", "Shelf", "Mirror", "Rug"];
  const woods = ["Oak", "Birch", "Walnut", "Brass", "Linen", "Wool", "Slate", "Cork"];
  const lines = Array.from({ length: 150 }, (_, n) => {
    const thing = things[n % things.length]!;
    const sku = `${thing.toUpperCase()}-${1001 + n}${n === 4 ? "-SBX-REJECT" : ""}`;
    return `${sku},${woods[n % woods.length]} ${thing.toLowerCase()},${19 + n}.90`;
  });
  return ["sku,title,price", ...lines].join("\n");
}

test("takes the pictures of a job in progress", async ({ page, server }) => {
  await signIn(page, server);
  const job = await launchJob(page, server, "autumn-catalogue.csv", productCsv(), "acme,bazaar,corner,depot");
  await page.goto(`${server.url}/jobs/${job}`);
  await expect(page.getByTestId("connection")).toHaveText("live");
  const cells = (state: string) => page.locator(`[data-testid=cell][data-state=${state}]`);
  await expect(cells("rejected").nth(1)).toBeVisible({ timeout: 60_000 });
  await expect(cells("succeeded").nth(30)).toBeVisible({ timeout: 60_000 });
  await takePicture(page, "job");
  await expect(page.getByTestId("job-state"), "the job ended before its pictures were taken").toHaveText("Running");
});

test("takes the pictures of the three ways", async ({ page, server }) => {
  await page.setViewportSize({ width: 1200, height: 900 });
  await signIn(page, server);
  await page.goto(`${server.url}/compare`);
  await page.getByRole("button", { name: "Run the comparison" }).click();
  const scenarios = page.getByTestId("scenario");
  await expect(scenarios).toHaveCount(4, { timeout: 240_000 });
  await takePicture(page, "three-ways", scenarios.filter({ hasText: "The server is killed" }));
});
