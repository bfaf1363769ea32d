// A js-libp2p peer: prints its addresses, then what it hears on topics; publishes lines of {"topic", "base64"},
// provides records by lines of {"provide", "base64"} and prints those it finds by lines of {"find"}.
import './polyfill.mjs'
import readline from 'node:readline'
import { createLibp2p } from 'libp2p'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { noise } from '@libp2p/noise'
import { yamux } from '@libp2p/yamux'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { gossipsub } from '@libp2p/gossipsub'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'

const [topics, ...dialled] = process.argv.slice(2)
const node = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'] },
  transports: [tcp(), webSockets(), circuitRelayTransport()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionGater: { denyDialMultiaddr: () => false },
  services: {
    identify: identify(),
    ping: ping(),
    pubsub: gossipsub({ allowPublishToZeroTopicPeers: true, globalSignaturePolicy: 'StrictSign' }),
    dht: kadDHT({ protocol: '/ipfs/kad/1.0.0', clientMode: false, peerInfoMapper: passthroughMapper }),
    relay: circuitRelayServer({ reservations: { maxReservations: 8 } })
  }
})
const say = value => console.log(JSON.stringify(value))
node.services.pubsub.addEventListener('message', ({ detail }) =>
  say({ topic: detail.topic, base64: Buffer.from(detail.data).toString('base64') }))
for (const topic of topics.split(',')) node.services.pubsub.subscribe(topic)
for (const address of dialled) await node.dial(multiaddr(address))
say({ addresses: node.getMultiaddrs().map(String) })

const varint = number => number < 128 ? [number] : [number % 128 + 128, ...varint(Math.floor(number / 128))]
let record = new Uint8Array()
await node.handle('/dicast/record/1', async stream => {
  stream.send(Buffer.concat([Buffer.from(varint(record.length)), record]))
  await stream.close()
})
const contentOf = key => CID.createV1(0x55, Digest.create(0x12, Buffer.from(key, 'hex')))
const recordOf = async peer => {
  const stream = await node.dialProtocol(peer, '/dicast/record/1')
  let read = Buffer.alloc(0)
  for await (const part of stream) {
    read = Buffer.concat([read, part.subarray()])
    const header = read.findIndex(byte => byte < 128) + 1
    const length = read.subarray(0, header).reduce((sum, byte, place) => sum + byte % 128 * 128 ** place, 0)
    if (header && read.length >= header + length) {
      stream.abort(new Error('read'))
      return read.subarray(header, header + length).toString('base64')
    }
  }
}
const find = async key => {
  for await (const provider of node.contentRouting.findProviders(contentOf(key))) {
    if (!provider.id.equals(node.peerId)) say({ found: await recordOf(provider.id), provider: String(provider.id) })
  }
  say({ looked: key })
}
const provide = async (key, base64) => {
  record = Buffer.from(base64, 'base64')
  await node.contentRouting.provide(contentOf(key))
  say({ provided: key })
}
readline.createInterface({ input: process.stdin }).on('line', line => {
  const asked = JSON.parse(line)
  const done = asked.find ? find(asked.find)
    : asked.provide ? provide(asked.provide, asked.base64)
      : node.services.pubsub.publish(asked.topic, Buffer.from(asked.base64, 'base64'))
  done.catch(error => say({ error: String(error) }))
})
