// Tests a job whose tasks cause follow-up tasks.
import { expect, signIn, test } from "../fixtures.ts";

test("alarms of started machines appear in the grid and in the flow", async ({ page, server }) => {
  await signIn(page, server);
  const response = await page.request.post(`${server.url}/api/v1/jobs/ec2-starts`, {
    headers: { Origin: server.url },
    data: { instance_ids: ["i-0a1b2c3d4e5f60001", "i-0a1b2c3d4e5f60002"] },
  });
  expect(response.status()).toBe(202);
  const { job } = await response.json();
  await page.goto(`${server.url}/jobs/${job.id}`);
  const rows = page.locator("table.grid tbody tr[aria-rowindex]");
  await expect(rows).toHaveCount(2);
  await expect(page.locator("table.grid thead")).toContainText("MachineStartAlarm");
  // The alarm appears in its machine's row while the page is open.
  for (const n of [0, 1]) {
    await expect(rows.nth(n).getByTestId("cell")).toHaveCount(2);
    await expect(rows.nth(n).getByTestId("cell").last()).toHaveAttribute("data-state", "succeeded");
  }
  await expect(page.getByTestId("job-state")).toHaveText("Succeeded");
  await page.getByRole("link", { name: "Flow", exact: true }).click();
  const nodes = page.getByTestId("flow-node");
  await expect(nodes).toHaveCount(2);
  await expect(nodes.first()).toContainText("Start2 items");
  await expect(nodes.last()).toContainText("2 caused by Start");
  await expect(nodes.last()).toContainText("2 done");
});

test("the flow updates live", async ({ page, server }) => {
  await signIn(page, server);
  await page.getByRole("button", { name: "Upload the sample of 150" }).click();
  await page.getByRole("link", { name: "Flow", exact: true }).click();
  const node = page.getByTestId("flow-node").first();
  await expect(node).toContainText("150 items");
  await expect(node).toContainText(/[1-9]\d* uploaded/);
  await expect(node).toContainText("150 uploaded", { timeout: 120_000 });
});
