// A client that costs next to nothing: one kept connection, one request under way, replies of a known length. So what a bench
// measures with it is the server, and the time a reply takes on the way.

import { once } from 'node:events'
import net from 'node:net'

export interface HttpReply {
  readonly status: number
  readonly head: string
  readonly body: string
}

export class Client {
  readonly port: number
  readonly #socket: net.Socket
  #received = ''
  #waiting: { resolve: (reply: HttpReply) => void; reject: (error: Error) => void } | undefined

  private constructor(port: number, socket: net.Socket) {
    this.port = port
    this.#socket = socket
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.on('data', (piece) => this.#take(String(piece)))
    socket.on('error', (error) => this.#failed(error))
    socket.on('close', () => this.#failed(new Error(`port ${port} closed the connection`)))
  }

  static async connect(port: number): Promise<Client> {
    const socket = net.connect(port, '127.0.0.1')
    await once(socket, 'connect')
    return new Client(port, socket)
  }

  get(path: string, headers = ''): Promise<HttpReply> {
    return this.send(Buffer.from(`GET ${path} HTTP/1.1\r\nHost: localhost:${this.port}\r\n${headers}\r\n`))
  }

  post(path: string, body: Uint8Array = new Uint8Array(0), type = 'text/plain'): Promise<HttpReply> {
    const head = `POST ${path} HTTP/1.1\r\nHost: localhost:${this.port}\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`
    return this.send(Buffer.concat([Buffer.from(head), body]))
  }

  /** Sends a whole request. The reply has a Content-Length. */
  send(request: Uint8Array): Promise<HttpReply> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) reject(new Error(`port ${this.port} closed the connection`))
      this.#waiting = { resolve, reject }
      this.#socket.write(request)
    })
  }

  close(): void {
    this.#waiting = undefined
    this.#socket.destroy()
  }

  #take(piece: string): void {
    this.#received += piece
    const end = this.#received.indexOf('\r\n\r\n')
    if (end < 0) return
    const length = Number(/content-length: (\d+)/i.exec(this.#received)?.[1] ?? 0)
    if (this.#received.length < end + 4 + length) return
    const head = this.#received.slice(0, end)
    const body = this.#received.slice(end + 4, end + 4 + length)
    this.#received = ''
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.resolve({ status: Number(head.slice(9, 12)), head, body })
  }

  #failed(error: Error): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.reject(error)
  }
}
