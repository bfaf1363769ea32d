/** What the browser's verifier says of certificates, one a line as a JSON string: `holds`, or the fault. */
import { readFileSync } from "node:fs";
import { useTables } from "../src/base/tables.ts";
import { CertificateError, verifyCertificate } from "../src/protocol/certificate.ts";

const [root, file] = process.argv.slice(2) as [string, string];
const text = (path: string) => readFileSync(`${root}/src/dicast/${path}`, "utf-8");
useTables({
  unicode: JSON.parse(text("base/data/unicode13.json")),
  words: JSON.parse(text("consensus/data/words.json")),
  commonWords: text("consensus/data/common_words.txt"),
  vocabulary: text("consensus/data/vocab.txt"),
});

function said(certificate: string): string {
  try {
    verifyCertificate(new TextEncoder().encode(certificate));
    return "holds";
  } catch (error) {
    return error instanceof CertificateError ? error.fault : `crash: ${String(error)}`;
  }
}

for (const line of readFileSync(file, "utf-8").trimEnd().split("\n")) console.log(said(JSON.parse(line) as string));
