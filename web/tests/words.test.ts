import { expect, test } from "vitest";
import { chance, formWords, gatesTold, inOrder, size, span, standing, statusWords } from "../src/app/words.ts";

test("a chance is never said to be none, nor more exact than it is", () => {
  expect([0, 1e-12, 1e-9, 1.256e-9, 3e-5, 1 / 2101, 0.004999, 0.005, 0.352, 1].map(chance)).toEqual([
    "under 1 in a billion", "under 1 in a billion", "1 in 1,000 million", "1 in 800 million", "1 in 33,000", "1 in 2,100", "1 in 200", "0.5 %", "35.2 %", "100.0 %",
  ]);
});

test("gates are said to have done nothing only where there was something to do", () => {
  const gates = ["numbers", "entities_strict"];
  const told = (names: string[], answers: number, state: string) => gatesTold({ frame: { gates: names }, answers: Array(answers).fill(0), round: { state } });
  expect(told([], 3, "decided")).toBe("This frame has no gates.");
  expect(told(gates, 0, "open")).toBe("Before answers are revealed there is nothing to look at for numbers, entities (strict).");
  expect(told(gates, 0, "ended")).toBe("No answer was revealed, so there was nothing to look at for numbers, entities (strict).");
  expect(told(gates, 2, "decided")).toBe("No pair of near answers was kept apart by numbers, entities (strict).");
});

test("nobody is said to have withheld what nobody asked for", () => {
  expect([statusWords("unrevealed", "no_agreement"), statusWords("unrevealed", "quorum_not_reached"), statusWords(null)]).toEqual([
    "committed, did not reveal", "committed; nothing was opened", "no verdict yet",
  ]);
});

test("what makes two answers the same is said for every form", () => {
  const form = { labels: [] as string[], exact: [] as string[], fuzzy: [] as string[], sec_distance: 0.262 };
  const forms = [form, { ...form, sec_distance: 0 }, { ...form, labels: ["yes", "no"] }, { ...form, exact: ["/a"], fuzzy: [""] }];
  expect(forms.map(formWords)).toEqual(["wording may differ by 26 %", "wording must be equal", "answers: yes, no", "JSON agreed by /a, the whole"]);
});

test("steps keep the order of a certificate, and of one kind that of their times", () => {
  const steps = [["request", 1], ["commit", 5], ["commit", 3], ["quorum", 5], ["reveal", null]].map(([step, at]) => ({ step: String(step), at_unix_ms: at as number | null }));
  expect(inOrder(steps).map((one) => [one.step, one.at_unix_ms])).toEqual([["request", 1], ["commit", 3], ["commit", 5], ["quorum", 5], ["reveal", null]]);
});

test("numbers have units", () => {
  expect([0, 999, 1000, 90_900_000, 21_474_836_480].map(size)).toEqual(["0 B", "999 B", "1.0 kB", "90.9 MB", "21.5 GB"]);
  expect([9, 600, 7260, 266_400].map(span)).toEqual(["9 s", "10 min", "2 h 1 min", "3 d 2 h"]);
});

test("a round is open, accepted, undetermined or ended", () => {
  const word = (state: string, outcome: string | null, step = "") => standing({ state, outcome, step }).word;
  expect([word("open", null), word("open", null, "collecting"), word("decided", "accepted"), word("decided", "undetermined"), word("ended", null)]).toEqual([
    "open", "collecting", "accepted", "undetermined", "ended",
  ]);
});
