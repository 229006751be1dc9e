// Messages as Maelstrom carries them: one JSON object a line, {"src", "dest", "body"}, where the body has a type, and for questions and
// answers msg_id and in_reply_to. Source: jepsen-io/maelstrom, doc/protocol.md. Reading is total: what is no message is undefined.

/** What a message says. `msg_id` is there when an answer is expected, `in_reply_to` when it is one. */
export interface Body {
  readonly type: string
  readonly msg_id?: number
  readonly in_reply_to?: number
  readonly [field: string]: unknown
}

export interface Message {
  readonly src: string
  readonly dest: string
  readonly body: Body
}

/** No line is longer: a request of the sync port in base64, and what stands around it. Checked before memory is taken for more. */
export const LINE_CHARACTERS_MAX = 8 * 1024 * 1024

/** Reads one line; undefined when it is not a message. */
export function readMessage(line: string): Message | undefined {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  if (!isObject(value) || typeof value.src !== 'string' || typeof value.dest !== 'string' || !isObject(value.body))
    return undefined
  const { type, msg_id, in_reply_to } = value.body
  if (typeof type !== 'string' || !isOptionalNumber(msg_id) || !isOptionalNumber(in_reply_to)) return undefined
  return value as unknown as Message
}

/** One line with its end. A bigint directly in the body is written as the integer it is. */
export function writeMessage({ src, dest, body }: Message): string {
  const fields = Object.entries(body)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${JSON.stringify(name)}:${typeof value === 'bigint' ? value : JSON.stringify(value)}`)
  return `{"src":${JSON.stringify(src)},"dest":${JSON.stringify(dest)},"body":{${fields.join(',')}}}\n`
}

/** The lines of a stream of text, without their ends. A last one without an end was cut off and is dropped. */
export async function* readLines(input: AsyncIterable<string>): AsyncGenerator<string, void> {
  let open = ''
  for await (const piece of input) {
    const lines = (open + piece).split('\n')
    open = lines.pop()!
    if (open.length > LINE_CHARACTERS_MAX) throw new RangeError(`a line should have ${LINE_CHARACTERS_MAX} characters at most`)
    yield* lines
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isOptionalNumber = (value: unknown): boolean => value === undefined || Number.isSafeInteger(value)
