// A client of NKN by its own SDK, for a node that speaks to it in lines of JSON over stdin and stdout.
// First line in: {sdk, seed, identifier, rpc}. Then {id, to: [addresses], base64}.
// Lines out: {address} once, {ready} when connected, {from, base64}, {done: id, why}, {problem}.
import readline from 'node:readline'
import { createRequire } from 'node:module'
import path from 'node:path'

const MESSAGE_BYTES_MAX = 65569 // a packet of 64 KiB and its header; strangers may send four million
const say = said => process.stdout.write(JSON.stringify(said) + '\n')
const text = parts => parts.map(part => part?.message ?? String(part)).join(' ').slice(0, 200)
for (const name of ['log', 'info', 'warn', 'error', 'debug']) console[name] = (...parts) => say({ problem: text(parts) })
process.on('unhandledRejection', error => say({ problem: text([error]) }))
const end = why => {
  say({ problem: why })
  process.exit(1)
}

let client
function open ({ sdk, seed, identifier, rpc }) {
  const { Client } = createRequire(path.join(sdk, 'side.js'))('nkn-sdk')
  const server = rpc ? { rpcServerAddr: rpc } : {}
  client = new Client({ seed, identifier, tls: false, webrtc: false, ...server })
  say({ address: client.addr })
  client.onConnect(() => {
    client.ws.addEventListener('close', () => end('the NKN node hung up'))
    say({ ready: true })
  })
  client.onConnectFailed(() => end('no NKN node could be reached'))
  client.onMessage(({ src, payload }) => {
    const data = Buffer.from(payload)
    say({ from: src, base64: data.length <= MESSAGE_BYTES_MAX ? data.toString('base64') : '' }) // too large: counted
    return false // no receipt
  })
}

async function send ({ id, to, base64 }) {
  try {
    await client.send(to, Buffer.from(base64, 'base64'), { noReply: true })
    say({ done: id })
  } catch (error) {
    say({ done: id, why: text([error]) })
  }
}

readline.createInterface({ input: process.stdin, crlfDelay: Infinity }).on('line', line => {
  let asked
  try {
    asked = JSON.parse(line)
  } catch {
    return say({ problem: 'a line that is no JSON' })
  }
  try {
    if (client) send(asked)
    else open(asked)
  } catch (error) {
    end(text([error]))
  }
}).on('close', () => process.exit(0))
