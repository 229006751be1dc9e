// The file that says how far a load has come. It is replaced whole: whatever happens, it holds what was saved last.

import { existsSync, readFileSync, rmSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { decodeProgress, encodeProgress, type Progress } from '../lib/loading/index.ts'

export class ResumeFile {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  /** What was saved; undefined when there is no file. @throws CounterError RESUME_INVALID */
  read(): Progress | undefined {
    return existsSync(this.path) ? decodeProgress(readFileSync(this.path, 'utf8'), this.path) : undefined
  }

  async save(progress: Progress): Promise<void> {
    const next = `${this.path}.next`
    // URLs may hold passwords.
    const file = await open(next, 'w', 0o600)
    try {
      await file.writeFile(encodeProgress(progress))
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(next, this.path)
  }

  remove(): void {
    rmSync(this.path, { force: true })
    rmSync(`${this.path}.next`, { force: true })
  }
}
