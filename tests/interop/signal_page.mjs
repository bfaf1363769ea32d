// Three pages in Chromium at two signallers; one signaller is killed. Prints what was seen as one line of JSON.
// Arguments: the root of the repository, the two addresses, the process to kill, a folder for screenshots or "".
import { createRequire } from "node:module";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [root, first, second, pid, pictures] = process.argv.slice(2);
const { chromium } = createRequire(`${root}/tests/interop/node/package.json`)("playwright-core");
const WAIT_MS = 90_000;
const profile = mkdtempSync(join(tmpdir(), "pages-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: "/usr/bin/chromium",
  headless: true,
  viewport: { width: 1180, height: 820 },
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns", "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
  ],
});
const foreign = [];
const complaints = [];
const seen = {};

async function open(url) {
  const page = await browser.newPage();
  page.on("request", (request) => new URL(request.url()).hostname === "127.0.0.1" || request.url().startsWith("data:") || foreign.push(request.url()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.setDefaultTimeout(WAIT_MS);
  await page.goto(url);
  await page.waitForSelector('#status[data-state="up"]');
  return page;
}

const ask = async (page, query) => {
  await page.fill("#query", query);
  await page.click("#query-form button");
};
const publish = async (page, value) => {
  await page.fill("#object", JSON.stringify(value));
  await page.click("#publish-form button");
};
const has = (page, title) => page.waitForFunction((text) => [...document.querySelectorAll("#documents pre")].some((one) => one.textContent.includes(text)), title, { timeout: WAIT_MS });
const titles = (page) => page.$$eval("#documents pre", (all) => all.map((one) => JSON.parse(one.textContent).title));
const links = (page, count) => page.waitForFunction((wanted) => document.querySelectorAll("#peers tbody tr").length >= wanted, count, { timeout: WAIT_MS });

try {
  const pages = [await open(`${first}/`), await open(`${first}/`), await open(`${second}/`)];
  for (const page of pages) await ask(page, '{"type": "news", "score": {"$gte": 5}}');
  for (const page of pages) await links(page, 2);
  await pages[2].waitForFunction(() => window.dicast.peers.uplinkKbps > 0, null, { timeout: WAIT_MS });
  for (const page of pages) await page.waitForFunction(() => window.dicast.peers.relays.length + window.dicast.peers.served.length > 0, null, { timeout: WAIT_MS });
  seen.relayed = await Promise.all(pages.map((page) => page.evaluate(() => window.dicast.peers.relays.length)));

  await publish(pages[0], { type: "news", score: 7, title: "one" });
  await publish(pages[0], { type: "news", score: 3, title: "low" });
  await publish(pages[2], { type: "weather", score: 9, title: "other" });
  await publish(pages[2], { type: "news", score: 9, title: "two" });
  for (const page of pages) for (const title of ["one", "two"]) await has(page, title);

  process.kill(Number(pid), "SIGKILL");
  for (const page of pages.slice(0, 2)) {
    await page.waitForFunction((host) => window.dicast.signaller.isUp && window.dicast.signaller.url.includes(host), new URL(second).host, { timeout: WAIT_MS });
  }
  await publish(pages[1], { type: "news", score: 8, title: "three" });
  for (const page of pages) await has(page, "three");
  for (const page of pages) await links(page, 2);

  const late = await open(`${second}/`);
  await ask(late, '{"type": "news", "score": {"$gte": 5}}');
  for (const title of ["one", "two", "three"]) await has(late, title);
  await links(late, 1);
  seen.titles = await Promise.all([...pages, late].map(async (page) => (await titles(page)).sort()));
  seen.by = await pages[1].$$eval("#documents .by", (all) => all.map((one) => one.textContent));

  await ask(pages[1], '{"score": {"$near": 5}}');
  seen.note = await pages[1].textContent("#query-note");
  await ask(pages[1], '{"type": "news"}');

  if (pictures) {
    await late.screenshot({ path: `${pictures}/light.png` });
    await late.emulateMedia({ colorScheme: "dark" });
    await late.screenshot({ path: `${pictures}/dark.png` });
    await late.setViewportSize({ width: 390, height: 844 });
    await late.screenshot({ path: `${pictures}/phone.png`, fullPage: true });
    await late.emulateMedia({ colorScheme: "light" });
  }

  // A page that takes and never gives back: whoever relays for it drops it.
  const everybody = [...pages, late];
  const roles = await Promise.all(everybody.map((page) => page.evaluate(() => window.dicast.peers.relays.length)));
  const rider = everybody[roles.findIndex((count) => count > 0)];
  await rider.evaluate(() => { window.dicast.peers.give = () => {}; });
  for (let number = 0; number < 3; number += 1) await publish(everybody.find((page) => page !== rider), { type: "news", score: 6, title: `more ${number}` });
  await Promise.any(everybody.filter((page) => page !== rider).map((page) => page.waitForFunction(() => window.dicast.peers.freeRiders > 0, null, { timeout: WAIT_MS })));
  const rest = everybody.find((page) => page !== rider);
  await publish(rest, { type: "news", score: 6, title: "after" });
  for (const page of everybody) await has(page, "after");
  seen.dropped = true;
  seen.foreign = foreign;
  seen.complaints = complaints;
  console.log(JSON.stringify(seen));
} catch (error) {
  console.error(String(error), JSON.stringify(seen), complaints.join("\n"));
  process.exitCode = 1;
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
