// A GunDB relay by its authors: prints "ready"; keeps what it is told in the folder it is started in.
import http from 'node:http'
import { createRequire } from 'node:module'
const Gun = createRequire(import.meta.url)('gun')
const web = http.createServer(Gun.serve)
new Gun({ web, axe: false, multicast: false, stats: false, file: process.argv[3], super: false })
web.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('ready'))
