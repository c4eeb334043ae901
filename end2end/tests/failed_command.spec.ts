// A command that fails for its data, from the page of operations to its success.
import { EMAIL, expect, PASSWORD, signIn, test } from "../fixtures.ts";
import { expectAccessibleLayout, launchJob, waitForJobEnd } from "../helpers.ts";

test.use({ settings: { MEANWHILE_ADMIN_EMAIL: EMAIL, MEANWHILE_ADMIN_PASSWORD: PASSWORD } });

const LONG_TITLE = "A lamp with a very long title ".repeat(3).trim();
const CSV = `sku,title,price\nA-1,Lamp,9.90\nA-2-SBX-SHORTTITLE,${LONG_TITLE},19.90\n`;

for (const javaScriptEnabled of [true, false]) {
  test.describe(javaScriptEnabled ? "with scripts" : "without scripts", () => {
    test.use({ javaScriptEnabled });

    test("a failed command is seen, edited, replayed, and succeeds", async ({ page, server, network }) => {
      network.allowRejectedForms = true;
      await signIn(page, server);
      const job = await launchJob(page, server, "lamps.csv", CSV);
      await waitForJobEnd(page, server, job);

      // Seen: by reason, then the item with its message and its attempts.
      await page.goto(`${server.url}/operations`);
      const reasons = page.getByTestId("failed-items");
      await expect(reasons.locator("tbody tr")).toHaveCount(1);
      await reasons.getByRole("link", { name: /Title is over 80 characters/ }).click();
      await expect(page.getByTestId("reason")).toContainText("Title is over 80 characters");
      await page.getByText("Replay all of them").click();
      await expect(page.getByRole("button", { name: "Replay 1 item" })).toBeVisible();
      if (javaScriptEnabled) await expectAccessibleLayout(page, "failed items");
      await page.getByRole("link", { name: "A-2-SBX-SHORTTITLE on acme" }).click();
      await expect(page.getByTestId("command-state")).toContainText("Rejected");
      await expect(page.getByTestId("command-attempt")).toHaveCount(1);
      await expect(page.getByTestId("command-attempt")).toContainText("Title is over 80 characters");
      await expect(page.getByTestId("message")).toContainText('"type": "product.upload.v1"');
      if (javaScriptEnabled) await expectAccessibleLayout(page, "failed command");

      // Edited: what the command is about has to stay, and the data are checked.
      await page.getByRole("link", { name: "Edit the command" }).click();
      const body = page.getByLabel("The command's data as JSON");
      await expect(body).toHaveValue(/"title": "A lamp with/);
      const stored = await body.inputValue();
      await body.fill(stored.replace("A-2-SBX-SHORTTITLE", "A-3"));
      await page.getByRole("button", { name: "Save and replay" }).click();
      await expect(page.getByTestId("problem")).toContainText("/product/sku: this says what the command is about");
      await expect(body, "what was typed stays").toHaveValue(/"sku": "A-3"/);
      await body.fill(stored.replace('"19.90"', '"cheap"'));
      await page.getByRole("button", { name: "Save and replay" }).click();
      await expect(page.getByTestId("problem")).toContainText("/product/price, line ");
      await expect(page.getByTestId("problem")).toContainText("the price is not a number");
      if (javaScriptEnabled) await expectAccessibleLayout(page, "edit of a command");
      await body.fill(stored.replace(LONG_TITLE, "A lamp"));
      await page.getByRole("button", { name: "Save and replay" }).click();

      // Replayed, and succeeded.
      await waitForJobEnd(page, server, job);
      if (!javaScriptEnabled) await page.reload();
      await expect(page.getByTestId("command-state")).toContainText("Created");
      await expect(page.getByTestId("command-attempt")).toHaveCount(2);
      await expect(page.getByTestId("edited")).toContainText(`Edited by ${EMAIL}`);
      await expect(page.getByRole("button", { name: /Replay/ })).toHaveCount(0);
      await page.getByRole("link", { name: "All operations" }).click();
      await expect(page.getByText("No item has failed.")).toBeVisible();
      const audit = page.getByTestId("audit");
      await expect(audit).toContainText(`${EMAIL} edited /product/title of an item`);
      await expect(audit).toContainText(`${EMAIL} had failed items run again: lamps.csv (1 item)`);

      // The owner sees that it ran again, and why it is another title.
      await page.goto(`${server.url}/jobs/${job}?view=timeline`);
      await expect(page.getByTestId("timeline")).toContainText("Started again. 1 item queued.");
      await page.goto(`${server.url}/jobs/${job}`);
      await page.locator('[data-testid=cell][data-sku="A-2-SBX-SHORTTITLE"] a').click();
      await expect(page.getByTestId("details")).toContainText("An admin edited what this item sends");
    });
  });
}
