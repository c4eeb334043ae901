// Takes screenshots of the comparison of three ways, while it runs and with its result.
import { expect, signIn, test } from "../fixtures.ts";
import { takeScreenshots } from "./take.ts";

test("takes screenshots of the three ways", async ({ page, server }) => {
  await signIn(page, server);
  await page.goto(`${server.url}/compare`);
  await page.getByRole("button", { name: "Run the comparison" }).click();
  await expect(page.getByTestId("running-way")).toHaveCount(3, { timeout: 60_000 });
  await takeScreenshots(page, "compare-running", true);
  await expect(page.getByTestId("scenario")).toHaveCount(4, { timeout: 240_000 });
  await takeScreenshots(page, "compare", true);
});
