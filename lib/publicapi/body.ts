// A request body, straight from the socket's events: a web stream costs five times the request.
// The limit holds while the body arrives, announced length or not; nothing is kept beyond it. A client that goes away in
// the middle rejects the reading, so nothing of what it sent is counted.

import type { IncomingMessage } from 'node:http'
import type { Fingerprint } from './once.ts'
import { Problem } from './problem.ts'
import { JSON_TYPE } from './reply.ts'

/** The client went away before its request was complete. There is nobody to answer. */
export class Disconnected extends Error {
  override readonly name = 'Disconnected'
}

/**
 * Hands over the body piece by piece and resolves when it is complete.
 * @param onPiece called in order; what it throws rejects the reading
 * @throws Problem body-too-large; Disconnected
 */
export function readBody(incoming: IncomingMessage, bytesMax: number, onPiece: (piece: Buffer) => void): Promise<void> {
  const announced = incoming.headers['content-length']
  if (announced !== undefined && Number(announced) > bytesMax) return Promise.reject(tooLarge(bytesMax))
  return new Promise((resolve, reject) => {
    let bytes = 0
    const stop = (error: unknown): void => {
      incoming.off('data', onData)
      incoming.off('end', onEnd)
      incoming.off('close', onClose)
      reject(error)
    }
    const onData = (piece: Buffer): void => {
      bytes += piece.length
      if (bytes > bytesMax) return stop(tooLarge(bytesMax))
      try {
        onPiece(piece)
      } catch (error) {
        stop(error)
      }
    }
    const onEnd = (): void => {
      incoming.off('close', onClose)
      resolve()
    }
    const onClose = (): void => stop(new Disconnected())
    incoming.on('data', onData)
    incoming.on('end', onEnd)
    incoming.on('close', onClose)
    // A socket that breaks also emits 'error'; 'close' follows and says enough.
    incoming.on('error', ignore)
  })
}

/**
 * The whole body in one piece, for bodies that cannot be used before they are complete.
 * @param fingerprint of the request, which the body becomes a part of
 * @throws Problem body-too-large; Disconnected
 */
export async function collectBody(incoming: IncomingMessage, bytesMax: number, fingerprint?: Fingerprint): Promise<Buffer> {
  const pieces: Buffer[] = []
  await readBody(incoming, bytesMax, (piece) => pieces.push(piece))
  const body = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
  fingerprint?.update(body)
  return body
}

/** The media type of a Content-Type header, in lower case, without parameters; '' when there is none. */
export function mediaTypeOf(contentType: string | undefined): string {
  if (contentType === undefined) return ''
  const end = contentType.indexOf(';')
  return (end === -1 ? contentType : contentType.slice(0, end)).trim().toLowerCase()
}

/** The charset that a Content-Type header names, in lower case; undefined when it names none. */
export const charsetOf = (contentType: string): string | undefined =>
  /;\s*charset="?([^\s;"]+)/i.exec(contentType)?.[1]?.toLowerCase()

/** @throws Problem media-type-unsupported */
export function checkJsonType({ headers }: IncomingMessage): void {
  const type = mediaTypeOf(headers['content-type'])
  if (type !== JSON_TYPE) throw wrongType(type, JSON_TYPE)
}

export const wrongType = (type: string, expected: string): Problem =>
  new Problem('media-type-unsupported', `The Content-Type is ${type === '' ? 'missing' : type}; expected ${expected}.`)

const ignore = (): void => {}

const tooLarge = (bytesMax: number): Problem =>
  new Problem('body-too-large', `The body has more than ${bytesMax} bytes, which is what this operation takes.`)
