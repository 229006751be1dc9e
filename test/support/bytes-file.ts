// Bytes in memory as a file to be read.

import type { DiskFile } from '../../lib/persistence/disk.ts'

export function bytesFile(bytes: Uint8Array): DiskFile {
  const readOnly = async (): Promise<never> => {
    throw new Error('a file to be read')
  }
  return {
    read: async (target, position) => {
      const piece = bytes.subarray(position, position + target.length)
      target.set(piece)
      return piece.length
    },
    size: async () => bytes.length,
    close: async () => {},
    write: readOnly,
    sync: readOnly,
    truncate: readOnly,
    identify: readOnly,
  }
}
