// A node of the hash table by WebTorrent's people. Commands on standard input, answers on standard output, JSON a line.
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import DHT from 'bittorrent-dht'
import { ed25519 } from '@noble/curves/ed25519.js'

const verify = (signature, value, key) => ed25519.verify(signature, value, key)
const dht = new DHT({ bootstrap: process.argv.slice(2), host: '127.0.0.1', verify })
const say = (value) => process.stdout.write(JSON.stringify(value) + '\n')
const hex = (text) => Buffer.from(text, 'hex')
const peers = new Set()

dht.on('peer', (peer, hash) => {
  const found = `${hash.toString('hex')} ${peer.host}:${peer.port}`
  if (!peers.has(found)) say({ found })
  peers.add(found)
})
dht.on('error', (error) => say({ error: error.message }))

const commands = {
  announce: ({ hash, port }) => dht.announce(hex(hash), port, (error) => say({ announced: !error })),
  peers: ({ hash }) => dht.lookup(hex(hash), () => say({ looked: true })),
  put: ({ seed, salt, value }) => {
    const secret = hex(seed)
    const k = Buffer.from(ed25519.getPublicKey(secret))
    const sign = (data) => Buffer.from(ed25519.sign(data, secret))
    dht.put({ k, salt: Buffer.from(salt), seq: Date.now(), v: hex(value), sign }, (error) => say({ put: !error }))
  },
  get: ({ key, salt }) => {
    const target = createHash('sha1').update(hex(key)).update(salt).digest()
    dht.get(target, { salt: Buffer.from(salt), cache: false }, (error, item) => {
      say({ got: error || !item ? null : Buffer.from(item.v).toString('hex') })
    })
  }
}

dht.listen(0, '127.0.0.1', () => say({ port: dht.address().port }))
dht.once('ready', () => say({ ready: true }))
const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => { const asked = JSON.parse(line); commands[asked.do](asked) })
lines.on('close', () => process.exit())
