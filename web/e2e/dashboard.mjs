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
  assert.match(await page.locator(".answer").innerText(), /Paris/);
  await shot(page, "answered");
  assert.deepEqual(await violations(page), []);
  await page.getByRole("link", { name: "Verify its certificate here" }).click();
  await page.getByText("Holds.").waitFor();
  assert.match(await page.locator("main").innerText(), /signed event/);
  await shot(page, "verified");
  assert.deepEqual(await violations(page), []);
  await page.goto(`${base}/#/verify/${"0".repeat(64)}`);
  await page.getByText("No stored certificate").waitFor();
  assert.equal(await page.getByText("Holds.").count(), 0, "what held is not shown beside another that is not there");
}

/** What cannot be asked is said before it is asked; which models may answer is chosen. */
async function chooseFrame(page) {
  await visit(page, "ask");
  const ask = page.getByRole("button", { name: "Ask", exact: true });
  await page.getByLabel("Question").fill("Is water wet?");
  await page.getByRole("button", { name: "financial" }).click();
  await page.getByText("under 1 in a billion").first().waitFor();
  await page.getByText("such a question is refused until there are more").waitFor();
  assert.ok(await ask.isDisabled(), "the preset takes answers out of a list only");
  await page.getByLabel("Only these answers").fill("yes, no");
  assert.ok(await ask.isEnabled());
  await page.getByLabel("Only these answers").fill("");
  await page.getByRole("button", { name: "story" }).click();
  await page.locator("summary", { hasText: "Models: any" }).click();
  await page.getByLabel("tiny-1").check();
  await page.getByText("Models: tiny-1").waitFor();
  await ask.click();
  await page.getByRole("link", { name: "Map", exact: true }).click(); // a question goes on while something else is looked at
  await page.getByRole("heading", { name: "Map" }).waitFor();
  await page.getByRole("link", { name: "Ask", exact: true }).click();
  await page.getByRole("heading", { name: /^(Answer|Undetermined)$/ }).waitFor();
  assert.equal(await page.getByLabel("Question").inputValue(), "Is water wet?");
  await page.getByText("Models: tiny-1").waitFor();
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
  assert.deepEqual(await violations(page), []);
  await page.locator("summary", { hasText: "As a table" }).click();
  assert.equal(await page.getByRole("region", { name: "Answers by distance" }).locator("tbody tr").count(), await page.locator("article").count());
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
  const texts = await Promise.all(items.map(async ({ request_id }) => (await fetch(`${base}/api/certificates/${request_id}`)).text()));
  const text = texts.find((one) => one.includes("Paris"));
  await visit(page, "verify");
  const forged = { name: "forged.json", mimeType: "application/json", buffer: Buffer.from(text.replace("Paris", "Lyons")) };
  await page.getByLabel("A certificate file").setInputFiles(forged);
  await page.getByText("Does not hold.").waitFor();
  assert.equal(await page.getByText("Holds.").count(), 0);
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
    const current = await page.locator("nav a[aria-current]").boundingBox();
    if (current.x < 0 || current.x + current.width > page.viewportSize().width) found.push(`${look} /${view} is not seen among the views`);
    await shot(page, `${look}-${view || "overview"}`);
  }
  await context.close();
  return [...found, ...problems.map((one) => `${look} ${one}`)];
}

const { page, context, problems: heard } = await pageAt(browser, base);
await askAndVerify(page);
await openRound(page);
await chooseFrame(page);
await lookAtNodes(page);
await refuseForgery(page);
await askTooMuch(page);
await downloadWithKey(page);
await useKeyboard(page);
await context.close();
/** One certificate that was asked for is not there. */
const problems = heard.filter((one) => !/404/.test(one));
assert.equal(heard.length - problems.length, 1);
problems.push(...(await everyView("light", { colorScheme: "light" })));
problems.push(...(await everyView("dark", { colorScheme: "dark" })));
problems.push(...(await everyView("phone", { viewport: { width: 375, height: 740 }, colorScheme: "light" })));
await browser.close();
assert.deepEqual(problems, []);
console.log(`${VIEWS.length} views in three looks, no problem found`);
