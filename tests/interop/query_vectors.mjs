// The page's matcher against the vectors that the Python matcher is held to; exits 1 naming what differs.
import { readFileSync } from "node:fs";

const [root] = process.argv.slice(2);
const { parseQuery, readObject } = await import(`${root}/src/dicast/signalling/page/query.js`);
const vectors = JSON.parse(readFileSync(`${root}/spec/vectors/queries.json`, "utf8"));
const documents = vectors.documents.map((text) => readObject(text));
const wrong = [];
for (const { query, matches } of vectors.queries) {
  const test = parseQuery(query);
  const found = documents.flatMap((document, at) => (test(document) ? [at] : []));
  if (JSON.stringify(found) !== JSON.stringify(matches)) wrong.push(`${query}: ${found}, not ${matches}`);
}
for (const { query, fault } of vectors.refused) {
  let found = "none";
  try {
    parseQuery(query);
  } catch (error) {
    found = error.fault ?? String(error);
  }
  if (found !== fault) wrong.push(`${query.slice(0, 80)}: ${found}, not ${fault}`);
}
console.log(wrong.join("\n") || `${vectors.queries.length} queries, ${vectors.refused.length} refusals hold`);
process.exit(wrong.length ? 1 : 0);
