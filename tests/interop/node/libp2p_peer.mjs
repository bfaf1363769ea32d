// A js-libp2p peer: prints its addresses, then what it hears on topics; publishes lines of {"topic", "base64"}.
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
readline.createInterface({ input: process.stdin }).on('line', line => {
  const { topic, base64 } = JSON.parse(line)
  node.services.pubsub.publish(topic, Buffer.from(base64, 'base64')).catch(error => say({ error: String(error) }))
})
