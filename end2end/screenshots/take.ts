// Takes pictures of a page in every width and both themes.
import { mkdirSync } from "node:fs";
import type { Page } from "@playwright/test";

const OUTPUT_DIR = process.env.SCREENSHOT_DIR ?? "shots";
const WIDTHS = [360, 768, 1440, 1920];
const nameFilter = process.env.SCREENSHOT_FILTER;
mkdirSync(OUTPUT_DIR, { recursive: true });

/** Takes the picture of the viewport, or of the whole page, in every width and both themes. */
export async function takeScreenshots(page: Page, name: string, fullPage = false) {
  if (nameFilter && !name.includes(nameFilter)) return;
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: width === 360 ? 740 : 900 });
      const path = `${OUTPUT_DIR}/${name}-${width}-${colorScheme}.png`;
      await page.screenshot({ path, fullPage, animations: "disabled" });
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 });
}
