// Repeats the first line of every failure at the end, where a long log is read first.
import { stripVTControlCharacters } from "node:util";
import type { FullResult, Reporter, TestCase, TestResult } from "@playwright/test/reporter";

export default class ErrorsReporter implements Reporter {
  private readonly lines: string[] = [];

  onTestEnd(test: TestCase, result: TestResult) {
    for (const { message = "", location } of result.errors) {
      const plain = stripVTControlCharacters(message).split("\n").filter(Boolean).slice(0, 6).join(" | ");
      this.lines.push(`${test.title}: line ${location?.line ?? "?"}: ${plain}`);
    }
  }

  onEnd(_: FullResult) {
    for (const line of this.lines) console.log(line);
  }
}
