// The body of a request to the sync port, hashed as it arrives when its hash was signed. The limit holds before memory is taken and while
// the body arrives, announced length or not. A peer that goes away in the middle rejects the reading.

import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { plainBytes } from './framing.ts'
import { Refusal } from './refusals.ts'

const BYTES_INITIAL = 64 * 1024

/** The peer went away before its request was complete. There is nobody to answer. */
export class PeerGone extends Error {
  override readonly name = 'PeerGone'
}

/**
 * Gathers a body. One that comes in one piece is not copied.
 * @param hash SHA-256 of the body in base64url, where it is known
 * @throws Refusal large, forged; PeerGone
 */
export function readRequest(incoming: IncomingMessage, bytesMax: number, hash: string | undefined): Promise<Uint8Array> {
  const announced = incoming.headers['content-length']
  if (announced !== undefined && Number(announced) > bytesMax) return Promise.reject(tooLarge(bytesMax))
  const expected = announced === undefined ? BYTES_INITIAL : Number(announced)
  const hashing = hash === undefined ? undefined : createHash('sha256')
  return new Promise((resolve, reject) => {
    let bytes: Uint8Array = new Uint8Array(0)
    let length = 0
    const onData = (piece: Buffer): void => {
      if (length + piece.length > bytesMax) return finish(() => reject(tooLarge(bytesMax)))
      hashing?.update(piece)
      if (length === 0 && (announced === undefined || piece.length === expected)) bytes = piece
      else {
        if (length + piece.length > bytes.length) bytes = grown(bytes, length, Math.max(expected, 2 * (length + piece.length)))
        bytes.set(piece, length)
      }
      length += piece.length
    }
    const onEnd = (): void =>
      finish(() => {
        if (hashing === undefined || hashing.digest('base64url') === hash) return resolve(plainBytes(bytes.subarray(0, length)))
        reject(new Refusal('forged', 'The signature was made for another body. Look for a proxy that changes requests.'))
      })
    const onClose = (): void => finish(() => reject(new PeerGone()))
    const finish = (settle: () => void): void => {
      incoming.off('data', onData).off('end', onEnd).off('close', onClose)
      settle()
    }
    incoming.on('data', onData).on('end', onEnd).on('close', onClose)
    // A socket that breaks also emits 'error'; 'close' follows and says enough.
    incoming.on('error', () => {})
  })
}

function grown(bytes: Uint8Array, length: number, size: number): Uint8Array {
  const larger = Buffer.allocUnsafe(size)
  larger.set(bytes.subarray(0, length))
  return larger
}

const tooLarge = (bytesMax: number): Refusal =>
  new Refusal('large', `The body has more than ${bytesMax} bytes, which is the most that is taken here.`)
