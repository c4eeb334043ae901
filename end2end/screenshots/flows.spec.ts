// Takes screenshots of Flows, of one event, of Operations, of the API's reference and of the
// history of an item.
import { signIn, test } from "../fixtures.ts";
import { launchJob, waitForJobEnd } from "../helpers.ts";
import { takeScreenshots } from "./take.ts";

test("takes screenshots of flows and operations", async ({ page, server }) => {
  await signIn(page, server);
  const rows = Array.from({ length: 40 }, (_, n) => `L-${n},Oak lamp ${n},19.90`).join("\n");
  const csv = `sku,title,price\nCHAIR-SBX-REJECT,Chair,5.00\nL-SBX-429ONCE,Lamp,5.00\n${rows}\n`;
  const job = await launchJob(page, server, "autumn-catalogue.csv", csv, "acme,bazaar");
  const response = await page.request.post(`${server.url}/api/v1/jobs/ec2-starts`, {
    headers: { origin: server.url },
    data: { instance_ids: ["i-0a1b2c3d4e5f60001", "i-0a1b2c3d4e5f60002"] },
  });
  await waitForJobEnd(page, server, (await response.json()).job.id);
  await waitForJobEnd(page, server, job);
  await launchJob(page, server, "winter-catalogue.csv", csv.replaceAll("L-", "W-"), "corner");
  for (const [path, name] of [
    ["/flows", "flows"],
    ["/flows/ec2.start", "event"],
    ["/operations", "operations"],
    ["/docs/api", "api-reference"],
  ]) {
    await page.goto(`${server.url}${path}`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    // The reference is too long for one picture.
    await takeScreenshots(page, name!, name !== "api-reference");
  }
  const tasks = await (await page.request.get(`${server.url}/api/v1/jobs/${job}/tasks`)).json();
  const retried = tasks.items.find((task: { sku: string }) => task.sku === "L-SBX-429ONCE");
  await page.goto(`${server.url}/jobs/${job}?task=${retried.id}`);
  await page.getByTestId("details").waitFor();
  await takeScreenshots(page, "history");
});
