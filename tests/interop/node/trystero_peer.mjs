// Stock trystero with libwebrtc: node trystero_peer.mjs STRATEGY URL ROOM. Lines of JSON in ({"send": text}) and out.
import {createInterface} from 'node:readline'
import wrtc from '@roamhq/wrtc'
import WebSocket from 'ws'

globalThis.WebSocket ??= WebSocket

// As browsers do it: without a description it makes the one that is due. This build of libwebrtc wants it named.
class PeerConnection extends wrtc.RTCPeerConnection {
  async setLocalDescription(description) {
    const isAnswer = this.signalingState === 'have-remote-offer'
    return super.setLocalDescription(description ?? (await (isAnswer ? this.createAnswer() : this.createOffer())))
  }
}

// A page goes on after an error in a handler, such as an answer over a channel that has just closed.
process.on('uncaughtException', (error) => console.error(error))

const [strategy, url, name, turnUrl, turnUser, turnPassword] = process.argv.slice(2)
const {joinRoom, selfId} = await import(`@trystero-p2p/${strategy}`)
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')

const turn = turnUrl ? [{urls: turnUrl, username: turnUser, credential: turnPassword}] : []
const rtcConfig = {iceServers: turn, iceTransportPolicy: turnUrl ? 'relay' : 'all'}
const relayConfig = {urls: [url]}
const config = {appId: 'dicast', rtcPolyfill: PeerConnection, rtcConfig, relayConfig}
const room = joinRoom(config, name, {onJoinError: (error) => say({error: String(error.error)})})
const packets = room.makeAction('packet')

room.onPeerJoin = (id) => say({join: id})
room.onPeerLeave = (id) => say({leave: id})
packets.onMessage = (data, {peerId, metadata}) =>
  say({packet: new TextDecoder().decode(data), peer: peerId, metadata: metadata ?? null})
say({self: selfId})

for await (const line of createInterface({input: process.stdin})) {
  const {send, leave} = JSON.parse(line)
  if (send !== undefined) await packets.send(new TextEncoder().encode(send))
  if (leave) await room.leave()
}
process.exit(0)
