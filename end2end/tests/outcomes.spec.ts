// Tests what the pages say of each item: created, updated, unchanged or rejected, and cancelled.
import { EMAIL, expect, PASSWORD, signIn, test, uploadFile } from "../fixtures.ts";
import { expectAccessibleLayout } from "../helpers.ts";

const FIRST = "sku,title,price\nA-1,Lamp,19.90\nA-2,Chair,29.90\n";
const SECOND =
  "sku,title,price\nA-1,Lamp,17.90\nA-2,Chair,29.90\nA-3,Rug,9.90\nB-SBX-REJECT,Odd lamp,5.00\nA-4,Vase,cheap\n";

test("a second upload says what it created, updated, left as it was and could not send", async ({ page, server }) => {
  await signIn(page, server);
  await uploadFile(page, FIRST, "first.csv");
  await expect(page.getByTestId("counts")).toHaveText("8 of 8 finished · 8 uploaded (8 created)");
  await page.goto(server.url);
  await uploadFile(page, SECOND, "second.csv");
  await expect(page.getByTestId("job-state")).toHaveText("Partly failed");
  await expect(page.getByTestId("counts")).toHaveText(
    "16 of 16 finished · 12 uploaded (4 created, 4 updated, 4 unchanged) · 4 rejected",
  );
  await expect(page.getByTestId("left-out")).toHaveText("1 of 5 rows left out · Download with reasons");
  const cell = (sku: string) => page.locator(`[data-testid=cell][data-sku="${sku}"][data-channel=acme]`);
  for (const [sku, state, word] of [
    ["A-1", "succeeded", "updated"],
    ["A-2", "unchanged", "unchanged"],
    ["A-3", "succeeded", "created"],
    ["B-SBX-REJECT", "rejected", "rejected"],
  ] as const) {
    await expect(cell(sku)).toHaveAttribute("data-state", state);
    const label = cell(sku).locator(".state-label");
    await expect(label).toHaveText(word);
    expect(await label.evaluate((it) => it.scrollWidth <= it.clientWidth), `${word} is cut off`).toBe(true);
  }
  await expectAccessibleLayout(page, "a job with every outcome");

  // A retry can't help what was rejected: it is exported to be corrected.
  await expect(page.getByRole("button", { name: /^Retry/ })).toBeHidden();
  await expect(page.getByTestId("failed-csv")).toHaveText("Export (4)");
  await page.getByTestId("show-unchanged").click();
  await expect(page.getByTestId("matching-count")).toHaveText("1 row matches");
  await page.getByTestId("show-rejected").click();
  await cell("B-SBX-REJECT").getByRole("link").click();
  const details = page.getByTestId("details");
  // A request that came too early, as on a busy machine, is an attempt too.
  await expect(details.getByTestId("attempt").filter({ hasText: "Acme rejected it: " })).toHaveCount(1);
  await expect(details, "it is said once who rejected it").not.toContainText("rejected Acme rejected it");
});

test.describe("at a lower speed", () => {
  // Slow enough that the job is still running when it is cancelled.
  test.use({
    settings: {
      MEANWHILE_ADMIN_EMAIL: EMAIL,
      MEANWHILE_ADMIN_PASSWORD: PASSWORD,
      MEANWHILE_SANDBOX_SPEED: "8",
    },
  });

  test("cancelled items are launched again, and all of them end", async ({ page, server }) => {
    await signIn(page, server);
    await page.getByRole("button", { name: "Upload the sample of 150" }).click();
    await page.locator("summary", { hasText: "Cancel" }).click();
    await page.getByRole("button", { name: "Cancel this job" }).click();
    await expect(page.getByTestId("job-state")).toHaveText("Cancelled");
    await expect(page.getByTestId("counts")).toHaveText(/^600 of 600 finished .*\d+ cancelled$/);
    await page.getByRole("button", { name: /^Launch \d+ cancelled items again$/ }).click();
    await expect(page.getByTestId("counts")).toHaveText("600 of 600 finished · 600 uploaded (600 created)", {
      timeout: 120_000,
    });
    await expect(page.getByRole("button", { name: /cancelled items? again$/ })).toBeHidden();
    expect((await server.ledger()).acme).toMatchObject({ effects: 150, duplicate_effects: 0 });
  });
});
