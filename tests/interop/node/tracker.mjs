// A WebTorrent tracker by its usual server, on a free port of loopback, which it tells.
import Server from 'bittorrent-tracker/server'

const server = new Server({udp: false, http: false, ws: true, stats: false})
server.on('warning', () => {})
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({port: server.ws.address().port})))
