// How long a job still takes and why, at the pace of real channels.
import { expect, signIn, test, EMAIL, PASSWORD } from "../fixtures.ts";

test.use({
  settings: {
    MEANWHILE_ADMIN_EMAIL: EMAIL,
    MEANWHILE_ADMIN_PASSWORD: PASSWORD,
    MEANWHILE_SANDBOX_SPEED: "1",
  },
});

test("the time left is told with its reason, and a break of a channel while it lasts", async ({ page, server }) => {
  await signIn(page, server);
  const lines = ["sku,title,price", "A-SBX-429ONCE,Lamp,1.00"];
  for (let n = 1; n <= 300; n++) lines.push(`B-${n},Chair,2.00`);
  await page.getByLabel(/CSV file/).setInputFiles({ name: "paced.csv", mimeType: "text/csv", buffer: Buffer.from(lines.join("\n")) });
  await page.getByTestId("launch").click();
  await expect(page.getByTestId("left")).toHaveText(/^about \d+ min( \d+ s)? left, limited by (Acme|Bazaar|Corner)$/);
  const breaks = page.getByTestId("break");
  await expect(breaks.first()).toHaveText(/^Paused by (Acme|Bazaar|Corner) until \d\d:\d\d:\d\d UTC \(429\)$/);
  await expect(breaks, "it is over by itself").toHaveCount(0, { timeout: 40_000 });
  await page.getByRole("button", { name: "Pause" }).click();
  await expect(page.getByTestId("job-state")).toHaveText("Paused");
  await expect(page.getByTestId("left"), "nothing is left to tell while it is paused").toHaveText("");
});
