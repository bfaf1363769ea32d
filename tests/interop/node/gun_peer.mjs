// A GunDB peer by its authors: prints every value that comes under a soul; puts every line it is given.
import readline from 'node:readline'
import { createRequire } from 'node:module'
const Gun = createRequire(import.meta.url)('gun')
const [url, soul] = process.argv.slice(2)
const gun = new Gun({ peers: [url], axe: false, multicast: false, stats: false, localStorage: false, radisk: false, file: false })
const seen = new Set()
gun.get(soul).map().on((value, key) => {
  const mark = key + value
  if (!seen.has(mark)) { seen.add(mark); console.log(JSON.stringify({ key, value })) }
})
console.log('"ready"')
let count = 0
readline.createInterface({ input: process.stdin }).on('line', line => gun.get(soul).get('page.' + count++ % 8).put(line))
