/** The certificate check with its tables; loaded when somebody first verifies something. */
import commonWords from "../../../src/dicast/consensus/data/common_words.txt?url";
import vocabulary from "../../../src/dicast/consensus/data/vocab.txt?url";
import words from "../../../src/dicast/consensus/data/words.json?url";
import unicode from "../../../src/dicast/base/data/unicode13.json?url";
import { type UnicodeTable, useTables, type Words } from "../base/tables.ts";
import { CertificateError, type Verification, verifyCertificate } from "../protocol/certificate.ts";

export type Verified = { holds: true; result: Verification } | { holds: false; fault: string; detail: string };

let loading: Promise<void> | null = null;

/** Check a certificate with nothing but this page's own code and tables. */
export async function verifyHere(data: Uint8Array): Promise<Verified> {
  await (loading ??= load());
  try {
    return { holds: true, result: verifyCertificate(data) };
  } catch (error) {
    if (error instanceof CertificateError) return { holds: false, fault: error.fault, detail: error.detail };
    throw error;
  }
}

async function load(): Promise<void> {
  const text = async (url: string): Promise<string> => {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`A table of the judge is missing: ${url}`);
    return response.text();
  };
  try {
    const [table, lists, common, pieces] = await Promise.all([unicode, words, commonWords, vocabulary].map(text));
    useTables({ unicode: JSON.parse(table!) as UnicodeTable, words: JSON.parse(lists!) as Words, commonWords: common!, vocabulary: pieces! });
  } catch (error) {
    loading = null;
    throw error;
  }
}
