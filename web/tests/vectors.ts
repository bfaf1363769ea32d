/** The vectors and tables of the specification, as every language reads them. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { useTables } from "../src/base/tables.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export function text(path: string): string {
  return readFileSync(ROOT + path, "utf-8");
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any
export function vectors(name: string): any {
  return JSON.parse(text(`spec/vectors/${name}`));
}

useTables({
  unicode: JSON.parse(text("src/dicast/base/data/unicode13.json")),
  words: JSON.parse(text("src/dicast/consensus/data/words.json")),
  commonWords: text("src/dicast/consensus/data/common_words.txt"),
  vocabulary: text("src/dicast/consensus/data/vocab.txt"),
});
