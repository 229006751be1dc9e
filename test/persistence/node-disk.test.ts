// The real disk does what the virtual one pretends to, as far as a program can see.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readWhole, replaceFile, writeAll } from '../../lib/persistence/disk.ts'
import type { Disk } from '../../lib/persistence/index.ts'
import { nodeDisk } from '../../lib/persistence/index.ts'
import { temporaryDirectory } from '../support/process.ts'
import { VirtualDisk } from '../support/virtual-disk.ts'

const test = suite('persistence/node-disk')

const codeOf = (action: Promise<unknown>): Promise<string> =>
  action.then(
    () => 'none',
    (error) => error.code,
  )

/** The same for both disks. */
async function behaves(disk: Disk, directory: string): Promise<void> {
  await disk.ensureDirectory(`${directory}/a/b`)
  await disk.ensureDirectory(`${directory}/a/b`)
  const base = `${directory}/a/b`
  assert.is(await codeOf(disk.open(`${base}/x`, 'read')), 'ENOENT')
  assert.is(await codeOf(disk.open(`${base}/x`, 'existing')), 'ENOENT')
  const file = await disk.open(`${base}/x`, 'create')
  await writeAll(file, new Uint8Array([1, 2, 3, 4]), 2)
  assert.equal([...(await readWhole(file))], [0, 0, 1, 2, 3, 4])
  await file.truncate(3)
  await file.truncate(5)
  await file.sync()
  assert.equal([...(await readWhole(file))], [0, 0, 1, 0, 0])
  assert.is(await file.size(), 5)
  assert.is(await file.read(new Uint8Array(4), 5), 0)
  const inode = await file.identify()
  await file.close()
  assert.is(await codeOf(file.sync()), 'EBADF')

  await disk.rename(`${base}/x`, `${base}/y`)
  await disk.syncDirectory(base)
  assert.equal(await disk.list(base), ['y'])
  const renamed = await disk.open(`${base}/y`, 'existing')
  assert.is(await renamed.identify(), inode)
  await writeAll(renamed, new Uint8Array([9]), 0)
  await renamed.close()
  await replaceFile(disk, base, 'y', async () => new Uint8Array([7]))
  const replaced = await disk.open(`${base}/y`, 'read')
  assert.equal([...(await readWhole(replaced))], [7])
  assert.is.not(await replaced.identify(), inode)
  await replaced.close()
  assert.is(await disk.identify(base), await disk.identify(base))
  await disk.remove(`${base}/y`)
  await disk.remove(`${base}/y`)
  assert.equal(await disk.list(base), [])
}

test('both disks behave alike', async () => {
  const { path, remove } = temporaryDirectory()
  await behaves(nodeDisk, path)
  remove()
  await behaves(new VirtualDisk({ automatic: true }).mount(), '/virtual')
})

test('a file made anew keeps its inode, one that was copied has another', async () => {
  const { path, remove } = temporaryDirectory()
  mkdirSync(join(path, 'copy'))
  writeFileSync(join(path, 'x'), 'text')
  writeFileSync(join(path, 'copy', 'x'), readFileSync(join(path, 'x')))
  const inodes = []
  for (const name of ['x', 'copy/x']) {
    const file = await nodeDisk.open(join(path, name), 'read')
    inodes.push(await file.identify())
    await file.close()
  }
  assert.is.not(inodes[0], inodes[1])
  assert.is.not(await nodeDisk.identify(path), await nodeDisk.identify(join(path, 'copy')))
  remove()
})

test('a directory that is put back at once is another one, also where the system uses its inode number again', async () => {
  const { path, remove } = temporaryDirectory()
  const directory = join(path, 'data')
  mkdirSync(directory)
  const before = await nodeDisk.identify(directory)
  const startMs = performance.now()
  // Times of birth are told in steps of a few milliseconds.
  while (performance.now() < startMs + 50) {
    rmSync(directory, { recursive: true })
    mkdirSync(directory)
  }
  assert.is.not(await nodeDisk.identify(directory), before)
  const after = await nodeDisk.identify(directory)
  writeFileSync(join(directory, 'x'), 'changes the directory')
  assert.is(await nodeDisk.identify(directory), after)
  remove()
})

test.run()
