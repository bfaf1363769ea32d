// All of NKN on one port of loopback, as far as its SDK looks: names itself as everybody's node, checks that a
// client holds the key of its address, hands messages over. Prints the address of its RPC; "drop" hangs up on all.
import http from 'node:http'
import readline from 'node:readline'
import zlib from 'node:zlib'
import crypto from 'node:crypto'
import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
const { messages } = require('nkn-sdk/common/pb/index')
const { WebSocketServer } = require('ws')

const zero = '00'.repeat(32)
const clients = new Map()
const server = http.createServer((request, response) => {
  let body = ''
  request.on('data', part => { body += part })
  request.on('end', () => {
    const { id, method } = JSON.parse(body)
    const result = method === 'getwsaddr' ? { addr: `127.0.0.1:${server.address().port}`, pubkey: zero } : {}
    response.end(JSON.stringify({ id, jsonrpc: '2.0', result }))
  })
})

function deliver (src, { dests, payloads }) {
  dests.forEach((dest, place) => {
    const inbound = new messages.InboundMessage()
    inbound.setSrc(src)
    inbound.setPayload(payloads[place] ?? payloads[0])
    const message = new messages.ClientMessage()
    message.setMessageType(messages.ClientMessageType.INBOUND_MESSAGE)
    message.setMessage(inbound.serializeBinary())
    clients.get(dest)?.send(message.serializeBinary())
  })
}

function outbound (data) {
  const message = messages.ClientMessage.deserializeBinary(data)
  if (message.getMessageType() !== messages.ClientMessageType.OUTBOUND_MESSAGE) return { dests: [], payloads: [] }
  const isPacked = message.getCompressionType() === messages.CompressionType.COMPRESSION_ZLIB
  const bytes = isPacked ? zlib.inflateSync(message.getMessage_asU8()) : message.getMessage_asU8()
  const read = messages.OutboundMessage.deserializeBinary(bytes)
  return { dests: read.getDestsList(), payloads: read.getPayloadsList_asU8() }
}

function isSigned (address, challenge, { ClientSalt, Signature }) {
  const signed = Buffer.from(challenge + ClientSalt, 'hex')
  const digest = crypto.createHash('sha256').update(signed).digest()
  const spki = Buffer.from('302a300506032b6570032100' + address.split('.').at(-1), 'hex')
  const key = crypto.createPublicKey({ key: spki, format: 'der', type: 'spki' })
  return crypto.verify(null, digest, key, Buffer.from(Signature, 'hex'))
}

new WebSocketServer({ server }).on('connection', socket => {
  const challenge = crypto.randomBytes(32).toString('hex')
  let address
  socket.send(JSON.stringify({ Action: 'authChallenge', Challenge: challenge }))
  socket.on('message', (data, isBinary) => {
    if (isBinary) return deliver(address, outbound(data))
    const said = JSON.parse(data)
    if (!isSigned(said.Addr, challenge, said)) return socket.send(JSON.stringify({ Action: 'setClient', Error: 1 }))
    address = said.Addr
    clients.set(address, socket)
    socket.send(JSON.stringify({ Action: 'setClient', Error: 0, Result: { node: {}, sigChainBlockHash: zero } }))
  })
  socket.on('close', () => { if (clients.get(address) === socket) clients.delete(address) })
})
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
readline.createInterface({ input: process.stdin }).on('line', () => {
  for (const socket of clients.values()) socket.terminate()
}).on('close', () => process.exit(0))
