// Gives each test its own server process, data directory and browser page.
// A test fails if its page logs an error.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test as base, expect, type Page } from "@playwright/test";

export const EMAIL = "ada@example.com";
export const PASSWORD = "correct-horse-battery";

// Below the range that Linux gives to outgoing connections
// (net.ipv4.ip_local_port_range): one of those could take a port between its
// choice and the server's start.
const FIRST_PORT = 15_000;
const LAST_PORT = 29_999;
let lastPort = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));

/** Returns a port that nobody listens on, never the same one twice in a row. */
export async function freePort(): Promise<number> {
  for (;;) {
    lastPort = lastPort === LAST_PORT ? FIRST_PORT : lastPort + 1;
    const port = lastPort;
    const isFree = await new Promise<boolean>((resolve) => {
      const probe = createServer().once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

export class Server {
  private child: ChildProcess | undefined;
  log = "";

  constructor(
    readonly port: number,
    readonly sandboxPort: number,
    readonly dataDir: string,
    readonly settings: Record<string, string>,
  ) {}

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Peak resident memory, in bytes. */
  get peakMemory(): number {
    const status = readFileSync(`/proc/${this.child?.pid}/status`, "utf8");
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  }

  async start() {
    const binary = process.env.MEANWHILE_BIN ?? "../target/debug/meanwhile";
    const child = spawn(binary, [], {
      env: {
        ...process.env,
        MEANWHILE_LISTEN: `127.0.0.1:${this.port}`,
        MEANWHILE_DATA: this.dataDir,
        MEANWHILE_SANDBOX_LISTEN: `127.0.0.1:${this.sandboxPort}`,
        MEANWHILE_SANDBOX_SPEED: "20",
        MEANWHILE_SANDBOX_FAULTS: "false",
        RUST_LOG: "info",
        ...this.settings,
      },
      stdio: ["ignore", "ignore", "pipe"],
    });
    child.stderr?.on("data", (bytes) => (this.log += bytes));
    this.child = child;
    await expect
      .poll(
        async () => {
          if (child.exitCode !== null) return `exited with ${child.exitCode}: ${this.log}`;
          return (await fetch(`${this.url}/readyz`).catch(() => null))?.status ?? this.log;
        },
        { timeout: 90_000, message: "the server did not start" },
      )
      .toBe(200);
  }

  async kill() {
    const child = this.child;
    this.child = undefined;
    if (!child || child.exitCode !== null) return;
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await exited;
  }

  /** Returns what the sandbox counted, by external service. */
  async ledger(): Promise<Record<string, { over_limit: number; duplicate_effects: number; effects: number }>> {
    return (await fetch(`http://127.0.0.1:${this.sandboxPort}/ledger/summary`)).json();
  }
}

/** Console errors that the browser logs itself when the server cannot be reached. */
const NETWORK_ERRORS = /WebSocket connection|ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_INTERNET_DISCONNECTED/;

/** Error that the browser logs itself when the server responds to a form with its page and the problem. */
const REJECTED_FORM = /status of 422/;

export function collectConsoleErrors(page: Page, errors: string[], allowNetwork: () => boolean) {
  page.on("console", (message) => {
    if (message.type() !== "error" && !/hydrat/i.test(message.text())) return;
    if (allowNetwork() && NETWORK_ERRORS.test(message.text())) return;
    errors.push(message.text());
  });
  page.on("pageerror", (error) => errors.push(String(error)));
}

type Fixtures = {
  settings: Record<string, string>;
  server: Server;
  network: { allowNetworkErrors: boolean; allowRejectedForms: boolean };
};

export const test = base.extend<Fixtures>({
  settings: [{ MEANWHILE_ADMIN_EMAIL: EMAIL, MEANWHILE_ADMIN_PASSWORD: PASSWORD }, { option: true }],
  network: async ({}, use) => use({ allowNetworkErrors: false, allowRejectedForms: false }),
  server: async ({ settings }, use, info) => {
    const dataDir = mkdtempSync(join(tmpdir(), "meanwhile-"));
    const server = new Server(await freePort(), await freePort(), dataDir, settings);
    await server.start();
    await use(server);
    await server.kill();
    if (info.status !== info.expectedStatus) {
      await info.attach("server log", { body: server.log, contentType: "text/plain" });
    }
    rmSync(dataDir, { recursive: true, force: true });
  },
  // Depends on the server so that the page is closed before the server is killed:
  // a response that is cut off by the kill is an error on the page's console.
  page: async ({ page, network, server: _ }, use) => {
    const errors: string[] = [];
    collectConsoleErrors(page, errors, () => network.allowNetworkErrors);
    await use(page);
    const isExpected = (error: string) => network.allowRejectedForms && REJECTED_FORM.test(error);
    expect(
      errors.filter((error) => !isExpected(error)),
      "errors on the page's console",
    ).toEqual([]);
    await page.close();
  },
});

export async function signIn(page: Page, server: Server) {
  await page.goto(`${server.url}/sign-in`);
  await page.getByLabel("Email").fill(EMAIL);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL(`${server.url}/`);
}

export const csvFile = (content: string, name = "three.csv") => ({
  name,
  mimeType: "text/csv",
  buffer: Buffer.from(content),
});

/** Chooses a file, waits for the result of its check, and launches it. */
export async function uploadFile(page: Page, content: string, name?: string) {
  await page.getByLabel(/CSV file/).setInputFiles(csvFile(content, name));
  await expect(page.getByTestId("check-result")).toBeVisible();
  await page.getByTestId("upload-button").click();
}

export { expect };
