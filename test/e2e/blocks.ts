// The commands in a Markdown file and what they print: ```bash blocks, each with the ```text block that follows it, if one does.

export interface Block {
  /** Where the block begins, from 1. */
  readonly line: number
  readonly commands: string
  /** What it prints; undefined when the file does not say. */
  readonly output: string | undefined
  /** Why it is not to be run: its first line says `# not run: ...`. */
  readonly reason: string | undefined
}

/** Between a command and its output there may be nothing but blank lines. */
const BLOCK = /^```bash\n([\s\S]*?)\n```$(?:\s*^```text\n([\s\S]*?)\n```$)?/gm

export function readBlocks(markdown: string): Block[] {
  return Array.from(markdown.matchAll(BLOCK), ({ index, 1: commands, 2: output }) => ({
    line: markdown.slice(0, index).split('\n').length,
    commands: commands!,
    output,
    reason: /^# not run: (.+)/.exec(commands!)?.[1],
  }))
}

/** Whether each line of `expected` comes in `printed`, in order. Digits stand for any number, except in JSON; `...` for anything. */
export function outputFits(printed: string, expected: string): boolean {
  const lines = printed.split('\n')
  return expected.split('\n').every((line) => {
    if (line.trim() === '') return true
    const pattern = looselyOf(line.trim())
    for (let next = lines.shift(); next !== undefined; next = lines.shift()) if (pattern.test(next)) return true
    return false
  })
}

function looselyOf(line: string): RegExp {
  const isJson = /^[[{]/.test(line)
  const source = line.replace(/\.\.\.|\d+(?:[.,]\d+)*|\s+|./gs, (part) => {
    if (part === '...') return '.*'
    if (/^\s/.test(part)) return '\\s+'
    if (/^\d/.test(part) && !isJson) return '[\\d.,]+'
    return part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
  })
  return new RegExp(source)
}
