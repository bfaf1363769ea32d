/** How many frames a second the map draws with many peers: node e2e/frames.mjs URL [PEERS] */
import { open, pageAt } from "./browser.mjs";

const [base, count = "2000"] = process.argv.slice(2);
const SECONDS = 5;
const hex = (number) => number.toString(16).padStart(8, "0").repeat(8);
const peers = Array.from({ length: Number(count) }, (_, at) => ({
  id: hex(at * 2_654_435_761 % 2 ** 32), roles: at % 3 ? ["worker"] : [], models: at % 5, load: 0, slots: 1, is_self: at === 0,
}));
const browser = await open();
const { page } = await pageAt(browser, base);
// Only the number of peers is made up: a node keeps at most 1,024.
await page.route("**/api/peers", (route) => route.fulfill({ json: { items: peers } }));
await page.goto(`${base}/#/map`);
await page.locator(".map canvas").first().waitFor();
await page.getByText(`${peers.length.toLocaleString("en-US")} nodes`).waitFor();
const box = await page.locator(".map").boundingBox();
await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
const session = await page.context().newCDPSession(page);
await session.send("Profiler.enable");
await session.send("Profiler.start");
const measured = page.evaluate(async (seconds) => {
  const times = [];
  const end = performance.now() + 1000 * seconds;
  await new Promise((resolve) => {
    const step = (now) => (times.push(now), now < end ? requestAnimationFrame(step) : resolve());
    requestAnimationFrame(step);
  });
  const gaps = times.slice(1).map((time, at) => time - times[at]).sort((one, other) => one - other);
  return { frames: gaps.length / seconds, p95: gaps[Math.floor(0.95 * gaps.length)], worst: gaps.at(-1) };
}, SECONDS);
for (let turn = 0; turn < SECONDS * 10; turn++) {
  await page.mouse.wheel(0, turn % 20 < 10 ? -60 : 60);
  await new Promise((resolve) => setTimeout(resolve, 90));
}
const { frames, p95, worst } = await measured;
const { profile } = await session.send("Profiler.stop");
const spent = new Map(profile.nodes.map(({ id, callFrame }) => [id, { name: callFrame.functionName, us: 0 }]));
profile.samples.forEach((id, at) => (spent.get(id).us += profile.timeDeltas[at]));
const sum = (wanted) => [...spent.values()].filter(({ name }) => wanted(name)).reduce((all, { us }) => all + us / 1000, 0) / (frames * SECONDS);
/** Reading the picked dot back waits until everything is drawn: that is the renderer's time, not the page's. */
const waiting = sum((name) => name === "readPixels");
const script = sum((name) => !["readPixels", "(idle)", "(program)", "(root)"].includes(name));
await browser.close();
console.log(`${count} peers, zooming: ${frames.toFixed(1)} frames/s, p95 ${p95.toFixed(1)} ms, worst ${worst.toFixed(1)} ms; the page's own work ${script.toFixed(1)} ms a frame, ${waiting.toFixed(1)} ms a frame waiting for software rendering`);
