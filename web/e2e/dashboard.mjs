/** Drives the dashboard of a running network as a person would: node e2e/dashboard.mjs URL FOLDER KEY */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { open, pageAt, violations } from "./browser.mjs";

const [base, folder, key] = process.argv.slice(2);
const VIEWS = ["", "ask", "rounds", "map", "nodes", "verify", "here", "logs", "settings", "keys"];
mkdirSync(folder, { recursive: true });
const browser = await open();

async function shot(page, name) {
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}

async function visit(page, view) {
  await page.goto(`${base}/#/${view}`);
  await page.locator("main h1").first().waitFor();
  await page.locator(".badge", { hasText: "live" }).first().waitFor();
}

/** Ask through the form, and follow the answer to its certificate, which the page checks itself. */
async function askAndVerify(page) {
  await visit(page, "ask");
  await page.getByRole("button", { name: "story" }).click();
  await page.getByLabel("Question").fill("What is the capital of France?");
  await page.getByText("seats must agree").waitFor();
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  await page.getByRole("heading", { name: "Answer", exact: true }).waitFor();
  assert.match(await page.locator("p.answer").innerText(), /Paris/);
  await shot(page, "answered");
  await page.getByRole("link", { name: "Verify its certificate here" }).click();
  await page.getByText("Holds.").waitFor();
  assert.match(await page.locator("main").innerText(), /signed event/);
  await shot(page, "verified");
}

/** What goes wrong while it streams is said in the gateway's words. */
async function askTooMuch(page) {
  await visit(page, "ask");
  await page.getByRole("button", { name: "story" }).click();
  await page.getByLabel("Question").fill("word ".repeat(2000));
  await page.getByText("seats must agree").waitFor();
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  await page.getByText("The prompt is longer than the models that were asked can read.").waitFor();
}

/** A file is taken away with the key that the page uses. */
async function downloadWithKey(page) {
  await visit(page, "rounds");
  await page.evaluate((own) => sessionStorage.setItem("dicast-key", own), key);
  const [sent, file] = await Promise.all([
    page.waitForRequest((request) => request.url().includes("/api/export/rounds")),
    page.waitForEvent("download"),
    page.getByRole("link", { name: "JSON lines" }).click(),
  ]);
  assert.equal(await sent.headerValue("authorization"), `Bearer ${key}`);
  assert.equal(file.suggestedFilename(), "dicast-rounds.jsonl");
  await page.evaluate(() => sessionStorage.removeItem("dicast-key"));
}

async function openRound(page) {
  await visit(page, "rounds");
  await page.locator("main li a").first().click();
  await page.getByRole("heading", { name: "The network's answer" }).waitFor();
  await page.getByRole("heading", { name: "Panel" }).waitFor();
  assert.ok((await page.locator("article").count()) >= 2, "the answers are shown");
  await shot(page, "round");
  await page.goto(`${base}/#/rounds`);
  await page.getByLabel("Search").fill("no such words anywhere");
  await page.getByText("Nothing fits.").waitFor();
  await page.getByLabel("Search").fill("capital of france");
  await page.locator("main li a").first().waitFor();
}

async function lookAtNodes(page) {
  await visit(page, "nodes");
  await page.getByText("5 nodes known").waitFor();
  await page.locator("tbody a").first().click();
  await page.getByText("Public key").waitFor();
  await visit(page, "map");
  await page.locator(".map canvas").first().waitFor();
  await page.locator("details.table summary").click();
  assert.equal(await page.locator("details.table tbody tr").count(), 5);
  await page.getByLabel("Colours").selectOption("dark");
  await page.waitForFunction(hasBrightLabels);
  await page.getByLabel("Colours").selectOption("");
}

/** Whether the map's labels can be read on a dark ground. Runs in the page. */
function hasBrightLabels() {
  const canvas = document.querySelector("canvas.sigma-labels");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.some((value, at) => at % 4 === 0 && value > 180 && data[at + 3] > 200);
}

/** A changed certificate is refused by the page, with the first wrong thing. */
async function refuseForgery(page) {
  const { items } = await (await fetch(`${base}/api/certificates`)).json();
  const text = await (await fetch(`${base}/api/certificates/${items[0].request_id}`)).text();
  await visit(page, "verify");
  const forged = { name: "forged.json", mimeType: "application/json", buffer: Buffer.from(text.replace("Paris", "Lyons")) };
  await page.getByLabel("A certificate file").setInputFiles(forged);
  await page.getByText("Does not hold.").waitFor();
}

/** Everything can be reached without a mouse. */
async function useKeyboard(page) {
  await visit(page, "");
  await page.reload();
  await page.locator("main h1").first().waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "To the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "content");
}

async function everyView(look, options) {
  const { page, context, problems } = await pageAt(browser, base, options);
  const found = [];
  for (const view of VIEWS) {
    await visit(page, view);
    await page.waitForFunction(() => !/Loading …|^…$/m.test(document.querySelector("main").innerText));
    found.push(...(await violations(page)).map((one) => `${look} /${view} ${one}`));
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (overflow > 0) found.push(`${look} /${view} is ${overflow} px wider than the window`);
    await shot(page, `${look}-${view || "overview"}`);
  }
  await context.close();
  return [...found, ...problems.map((one) => `${look} ${one}`)];
}

const { page, context, problems } = await pageAt(browser, base);
await askAndVerify(page);
await openRound(page);
await lookAtNodes(page);
await refuseForgery(page);
await askTooMuch(page);
await downloadWithKey(page);
await useKeyboard(page);
await context.close();
problems.push(...(await everyView("light", { colorScheme: "light" })));
problems.push(...(await everyView("dark", { colorScheme: "dark" })));
problems.push(...(await everyView("phone", { viewport: { width: 375, height: 740 }, colorScheme: "light" })));
await browser.close();
assert.deepEqual(problems, []);
console.log(`${VIEWS.length} views in three looks, no problem found`);
