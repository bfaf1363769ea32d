/** Watches the dashboard while the node behind the gateway is stopped and started: node e2e/outage.mjs URL */
import assert from "node:assert/strict";
import { once } from "node:events";
import { open, pageAt, violations } from "./browser.mjs";

const [base] = process.argv.slice(2);
const browser = await open();
const { page } = await pageAt(browser, base);

/** Say what is to be done, and wait until it is. */
async function ask(what) {
  console.log(what);
  await once(process.stdin, "data");
}

const stopped = page.getByText("The node behind this gateway is stopped.");
await page.goto(`${base}/#/nodes`);
await page.getByText("2 nodes known").waitFor();
await ask("stop");
await stopped.waitFor();
assert.equal(await page.getByRole("alert").count(), 1, "one alert is enough");
assert.deepEqual(await violations(page), []);
const overlap = await page.evaluate(() => document.querySelector("header").scrollWidth - document.querySelector("header").clientWidth);
assert.ok(overlap <= 0, "the badge stays in its place");
await page.reload();
await stopped.waitFor();
for (const view of ["rounds", "settings", "ask", "nodes"]) {
  await page.goto(`${base}/#/${view}`);
  await page.getByRole("heading", { level: 1 }).waitFor();
  await stopped.waitFor();
}
await page.getByText("Waiting for the node …").waitFor();
await ask("start");
await page.getByText("2 nodes known").waitFor();
await stopped.waitFor({ state: "detached" });
assert.equal(await page.getByRole("alert").count(), 0);
await browser.close();
console.log("it goes on by itself");
process.exit(0);
