// Tests the pages that show which event causes which.
import { expect, signIn, test } from "../fixtures.ts";
import { expectAccessibleLayout, launchJob, waitForJobEnd } from "../helpers.ts";

test("the flows count what a chain caused, and each event has its page", async ({ page, server }) => {
  await signIn(page, server);
  await page.getByRole("link", { name: "Flows" }).click();
  await expect(page.getByRole("heading", { name: "Flows", level: 1 })).toBeVisible();
  await expect(page.getByText("Nothing yet.")).toBeVisible();
  await expect(page.getByTestId("connection")).toHaveText("live");
  const response = await page.request.post(`${server.url}/api/v1/jobs/ec2-starts`, {
    headers: { Origin: server.url },
    data: { instance_ids: ["i-0a1b2c3d4e5f60001", "i-0a1b2c3d4e5f60002"] },
  });
  const { job } = await response.json();
  await waitForJobEnd(page, server, job.id);
  // The page follows without being loaded again.
  const flow = (text: RegExp) => page.getByTestId("recent-flow").filter({ hasText: text });
  await expect(flow(/^alarm\.create caused by ec2\.starttask\.succeeded2$/)).toBeVisible();
  await expect(flow(/^ec2\.starttask\.succeeded2$/)).toBeVisible();
  await expect(flow(/^the whole jobjob\.finished1$/)).toBeVisible();
  await expect(page.getByTestId("flows-graph").locator("path.ran")).not.toHaveCount(0);
  await expectAccessibleLayout(page, "flows");

  await flow(/^ec2\.starttask\.succeeded/)
    .getByRole("link", { name: "ec2.start" })
    .click();
  await expect(page).toHaveURL(`${server.url}/flows/ec2.start`);
  await expect(page.getByTestId("event-kind")).toHaveText("ec2.start");
  await expect(page.getByText('"type": "ec2.start.v1"')).toBeVisible();
  await expect(page.getByRole("link", { name: "alarm.create" })).toBeVisible();
  await expectAccessibleLayout(page, "event");
  await page.getByTestId("seen-fact").first().getByRole("link").last().click();
  await expect(page).toHaveURL(new RegExp(`/jobs/${job.id}\\?task=`));

  const missing = await page.request.get(`${server.url}/flows/no.such.event`);
  expect(missing.status()).toBe(404);
});

test("others see what their own jobs did, admins what everybody's did", async ({ page, server, browser }) => {
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
  await waitForJobEnd(page, server, await launchJob(page, server, "adas-lamps.csv"));
  await bob.goto(`${server.url}/flows/task.succeeded`);
  await expect(bob.getByText("None among the newest facts of your jobs.")).toBeVisible();
  await bob.goto(`${server.url}/flows`);
  await expect(bob.getByText("Nothing yet.")).toBeVisible();
  await waitForJobEnd(bob, server, await launchJob(bob, server, "bobs-lamps.csv"));
  await expect(bob.getByTestId("recent-flow").filter({ hasText: "task.succeeded" })).toContainText("2");
  await page.goto(`${server.url}/flows`);
  await expect(page.getByTestId("recent-flow").filter({ hasText: "task.succeeded" })).toContainText("4");
  await page.goto(`${server.url}/flows/task.succeeded`);
  await expect(page.getByTestId("seen-fact")).toHaveCount(4);
  // The job of somebody else is named, and can't be opened.
  await expect(page.getByTestId("seen-fact").getByRole("link", { name: /bobs-lamps/ })).toHaveCount(0);
  await expect(page.getByTestId("seen-fact").filter({ hasText: "bobs-lamps" })).toHaveCount(2);
  await bob.context().close();
});

test("a phone has the other pages in a menu", async ({ page, server }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await signIn(page, server);
  const bar = page.getByRole("navigation", { name: "Pages", exact: true });
  await expect(bar.getByRole("link")).toHaveText(["Launch", "Jobs", "Inbox", "Machines"]);
  await bar.getByRole("button", { name: "More" }).click();
  await page.getByRole("navigation", { name: "More pages" }).getByRole("link", { name: "Flows" }).click();
  await expect(page).toHaveURL(`${server.url}/flows`);
  await expect(page.getByTestId("flows-graph")).toBeHidden();
});
