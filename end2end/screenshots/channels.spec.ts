// Takes screenshots of the page of the channels in its states, at the rates of real services.
import { EMAIL, expect, PASSWORD, signIn, test } from "../fixtures.ts";
import { launchJob } from "../helpers.ts";
import { takeScreenshots } from "./take.ts";

test.use({
  settings: {
    MEANWHILE_ADMIN_EMAIL: EMAIL,
    MEANWHILE_ADMIN_PASSWORD: PASSWORD,
    MEANWHILE_SANDBOX_SPEED: "2",
  },
});

function productCsv(prefix: string, rows: number, odd: string[] = []) {
  const lines = Array.from({ length: rows }, (_, n) => `${prefix}-${1001 + n},Oak lamp ${n},${19 + n}.90`);
  return ["sku,title,price", ...odd.map((sku) => `${sku},Odd lamp,5.00`), ...lines].join("\n");
}

test("takes screenshots of channels", async ({ page, server, browser }) => {
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
  await page.goto(`${server.url}/channels`);
  await expect(page.getByTestId("connection")).toHaveText("live");
  await takeScreenshots(page, "channels-free", true);
  const control = (id: string, what: string, data: object) =>
    page.request.post(`${server.url}/api/v1/channels/${id}/${what}`, { headers: { origin: server.url }, data });
  await control("acme", "check", {});
  await control("acme", "pace", { rate: 1.5 });
  const odd = ["CHAIR-SBX-REJECT", "TABLE-SBX-REJECT"];
  await launchJob(
    page,
    server,
    "Autumn catalogue, furniture and lighting.csv",
    productCsv("A", 140, odd),
    "acme,bazaar",
  );
  await launchJob(page, server, "winter-2026.csv", productCsv("W", 60), "bazaar,corner");
  await launchJob(bob, server, "bobs-lamps.csv", productCsv("B", 1200), "acme,corner");
  await launchJob(page, server, "storm.csv", productCsv("S", 1, ["S-SBX-429ONCE"]), "corner");
  await control("bazaar", "pause", {
    until: new Date(Date.now() + 40 * 60_000).toISOString(),
    note: "Price review with the suppliers, until they have answered",
  });
  const error = page.getByTestId("error").first();
  await expect(error).toBeVisible();
  await takeScreenshots(page, "channels-busy", true);
  await page
    .locator("summary", { hasText: /^Pause$/ })
    .first()
    .click();
  await takeScreenshots(page, "channels-pause", true);
  await page.locator("summary", { hasText: "Change pace" }).last().click();
  await takeScreenshots(page, "channels-pace", true);
  await bob.goto(`${server.url}/channels`);
  await expect(bob.getByTestId("connection")).toHaveText("live");
  await takeScreenshots(bob, "channels-user", true);
  await bob.context().close();
});
