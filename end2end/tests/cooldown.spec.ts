// Tests the estimate of the time left and its reason, at half the rate limits of real channels.
import { EMAIL, expect, PASSWORD, signIn, test } from "../fixtures.ts";

test.use({
  settings: {
    MEANWHILE_ADMIN_EMAIL: EMAIL,
    MEANWHILE_ADMIN_PASSWORD: PASSWORD,
    // Slow enough that a cooldown is not over before a busy machine shows it.
    MEANWHILE_SANDBOX_SPEED: "0.5",
  },
});

test("the time left is shown with its reason, and a channel's cooldown while it lasts", async ({ page, server }) => {
  await signIn(page, server);
  const lines = ["sku,title,price", "A-SBX-429ONCE,Lamp,1.00"];
  for (let n = 1; n <= 300; n++) lines.push(`B-${n},Chair,2.00`);
  await page
    .getByLabel(/CSV file/)
    .setInputFiles({ name: "paced.csv", mimeType: "text/csv", buffer: Buffer.from(lines.join("\n")) });
  await page.getByTestId("upload-button").click();
  const cooldowns = page.getByTestId("cooldown");
  await expect(cooldowns.first()).toHaveText(/^Paused by (Acme|Bazaar|Corner|Depot) until \d\d:\d\d:\d\d UTC \(429\)$/);
  await expect(page.getByTestId("time-left")).toHaveText(
    /^about \d+( to \d+)? min left, limited by (Acme|Bazaar|Corner|Depot)$/,
  );
  await expect(cooldowns, "the cooldown ends by itself").toHaveCount(0, { timeout: 90_000 });
  await page.getByRole("button", { name: "Pause" }).click();
  await expect(page.getByTestId("job-state")).toHaveText("Paused");
  await expect(page.getByTestId("time-left"), "a paused job has no estimate").toHaveText("");
});
