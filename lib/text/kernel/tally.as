// The tally of a text in WebAssembly: splits ASCII on white space, lower-cases, hashes and counts. AssemblyScript
// (assemblyscript.org); `npm run kernel` compiles it to wasm.ts. lib/text/kernel.ts is the other side, and the only user.
//
// Work goes in blocks, a phase at a time, so that many words are under way at once and few branches depend on a word:
//   edges    where words start and end, by bit masks of 64 bytes
//   hashes   of four words at a time, one in each lane; the same keyed FNV-1a and fmix32 as lib/base/hash.ts
//   counts   one probe a word; what a new name needs is written ahead, and stays only if the name is new
// A slot is 16 bytes: the word's first eight, padded by 0xff, which is in no UTF-8; its hash; its number + 1, 0 when empty.
// A word of up to seven bytes is told by that alone. A word's home is given by the high bits of its hash, so that growing reads
// old slots and writes new ones in order. Names, ends, hashes and amounts lie as in a batch.

/** Bytes of a text in one block. */
const BLOCK_BYTES: usize = 2048
/** Words that one call of take() may bring; more than a block of bytes holds. */
const WORDS_MAX: i32 = 2560
const SLOT_BITS_MIN: i32 = 8
const SLOT_BITS_MAX: i32 = 27
const SLOT_BITS_LARGE: i32 = 16
const ROWS_LARGE: i32 = 1 << 15
const NAMES_LARGE: usize = 1 << 18
/** From this power on the table is larger than a first-level cache, and fetching slots ahead pays. */
const SLOT_BITS_TOUCHED: i32 = 13
/** Bytes that the system maps at once, at least. */
const PAGE_BYTES: usize = 4096
/** Reads and writes of a vector may pass an end by so much. */
const SPARE_BYTES: usize = 64

const EDGES: usize = memory.data(WORDS_MAX * 8 + 128, 16)
const HASHES: usize = memory.data(WORDS_MAX * 4 + 64, 16)
const PREFIXES: usize = memory.data(WORDS_MAX * 8 + 64, 16)
/** Tables of all sizes used so far, each all zero but the one in use. */
const TABLES: usize = memory.data(32 * 4, 16)
/** What is put behind a word of so many bytes to make it eight. */
const PADS: usize = memory.data<u64>([
  0xffffffffffffffff, 0xffffffffffffff00, 0xffffffffffff0000, 0xffffffffff000000, 0xffffffff00000000, 0xffffff0000000000,
  0xffff000000000000, 0xff00000000000000, 0,
])
/** What the other side reads after each call; see publish(). */
const STATE: usize = memory.data(64, 16)

let hashStart: u32 = 0
let hashMultiplier: u32 = 0
let nameBytesMax: i32 = 0

/** Free memory starts here. */
let top: usize = 0
let names: usize = 0
let nameCapacity: usize = 0
/** Name i is `bounds[i]` to `bounds[i + 1]`. */
let bounds: usize = 0
let hashes: usize = 0
let amounts: usize = 0
let rowCapacity: i32 = 0
let slots: usize = 0
/** The table has two to this power slots; 0 when there is none yet. */
let slotBits: i32 = 0

let count: i32 = 0
/** Words counted. */
let tokens: i32 = 0
/** Where the text that was scanned last stops being ASCII. */
let limit: usize = 0
/** Start of a word that is too long; 0 when there is none. */
let tooLong: usize = 0
let overflow: i32 = 0
/** Keeps the compiler from dropping the loop that fetches slots ahead. */
let touched: u32 = 0

/** Sets everything up behind `reserved` bytes for the other side, and returns where these are. */
export function init(start: u32, multiplier: u32, longest: i32, reserved: usize): usize {
  hashStart = start
  hashMultiplier = multiplier
  nameBytesMax = longest
  top = __heap_base
  const area = allocate(reserved + SPARE_BYTES)
  growNames(1 << 13)
  growRows(1 << 9)
  publish()
  return area
}

export function edges(): usize {
  return EDGES
}

export function state(): usize {
  return STATE
}

/** Empties the tally. Costs as much as what it held. */
export function reset(): void {
  if (slotBits > 0) memory.fill(slots, 0, <usize>16 << slotBits)
  slotBits = 0
  count = 0
  tokens = 0
  tooLong = 0
  overflow = 0
  publish()
}

/**
 * Counts the words of `[from, to)`, which starts where a word may start, up to the first byte that is not ASCII (`limit`).
 * Lower-cases the bytes where they are. Returns the start of the word that is open at the limit, else the limit.
 */
export function scan(from: usize, to: usize): usize {
  const upperA = i8x16.splat(0x41)
  const letters = i8x16.splat(26)
  const caseBit = i8x16.splat(0x20)
  const tab = i8x16.splat(9)
  const five = i8x16.splat(5)
  let previous: u64 = 0
  let edge = EDGES
  let at = from
  let open = false
  limit = to
  if (slotBits == 0) openTable(<i32>(to - from) >> 3)
  while (at < limit) {
    const blockEnd = min(at + BLOCK_BYTES, to)
    while (at < blockEnd) {
      let spaces: u64 = 0
      let foreign: u64 = 0
      for (let part: usize = 0; part < 64; part += 16) {
        const bytes = v128.load(at + part)
        const upper = i8x16.lt_u(i8x16.sub(bytes, upperA), letters)
        v128.store(at + part, v128.or(bytes, v128.and(upper, caseBit)))
        const white = v128.or(i8x16.lt_u(i8x16.sub(bytes, tab), five), i8x16.eq(bytes, caseBit))
        spaces |= <u64>i8x16.bitmask(white) << part
        foreign |= <u64>i8x16.bitmask(bytes) << part
      }
      const rest = blockEnd - at
      const words = ~spaces
      let changes = words ^ ((words << 1) | previous)
      previous = words >> 63
      if (rest < 64) {
        const valid = (<u64>1 << rest) - 1
        changes &= valid
        foreign &= valid
      }
      if (foreign != 0) {
        const first = ctz(foreign)
        changes &= (<u64>1 << first) - 1
        limit = at + <usize>first
      }
      const next = edge + (<usize>popcnt(changes) << 2)
      // Eight at a time, and more than there are, takes fewer branches.
      while (edge < next) {
        for (let k: usize = 0; k < 32; k += 4) {
          store<u32>(edge + k, <u32>at + <u32>ctz(changes))
          changes &= changes - 1
        }
        edge += 32
      }
      edge = next
      if (foreign != 0) break
      at += 64
    }
    const words = <i32>((edge - EDGES) >> 3)
    open = ((edge - EDGES) & 4) != 0
    const last = load<u32>(edge - 4)
    if (words > 0) take(words, 1)
    if (tooLong != 0) return 0
    // Its first edge leads the next block.
    store<u32>(EDGES, last)
    edge = EDGES + (open ? 4 : 0)
    if (limit < blockEnd) break
  }
  publish()
  return open ? <usize>load<u32>(EDGES) : limit
}

/** Counts the words that the first edges tell, adding 0 or 1 to each one's plus. Returns the number of the last one's name. */
export function take(words: i32, step: u32): i32 {
  const byteCount = hashWords(words)
  if (tooLong != 0) {
    publish()
    return 0
  }
  reserve(words, byteCount)
  if (slotBits >= SLOT_BITS_TOUCHED) touch(words)
  const name = countWords(words, step)
  tokens += words
  publish()
  return name
}

/** Hashes the words and cuts out their prefixes. Returns how many bytes they have, and notes the first that is too long. */
function hashWords(words: i32): usize {
  const multiplier = i32x4.splat(hashMultiplier)
  const start = i32x4.splat(hashStart)
  const lowByte = i32x4.splat(0xff)
  let sum = i32x4.splat(0)
  let longest = i32x4.splat(0)
  const padding = EDGES + (<usize>words << 3)
  for (let k: usize = 0; k < 24; k += 4) store<u32>(padding + k, EDGES)

  for (let word = 0; word < words; word += 4) {
    const at = EDGES + (<usize>word << 3)
    const left = v128.load(at)
    const right = v128.load(at, 16)
    const lengths = i32x4.sub(v128.shuffle<i32>(left, right, 1, 3, 5, 7), v128.shuffle<i32>(left, right, 0, 2, 4, 6))
    sum = i32x4.add(sum, lengths)
    longest = i32x4.max_s(longest, lengths)
    const short = i32x4.min_u(lengths, i32x4.splat(8))

    let first: usize = load<u32>(at)
    let second: usize = load<u32>(at, 8)
    let third: usize = load<u32>(at, 16)
    let fourth: usize = load<u32>(at, 24)
    let one = load<u64>(first)
    let two = load<u64>(second)
    let three = load<u64>(third)
    let four = load<u64>(fourth)
    const prefix = PREFIXES + (<usize>word << 3)
    store<u64>(prefix, one | load<u64>(PADS + (<usize>i32x4.extract_lane(short, 0) << 3)))
    store<u64>(prefix, two | load<u64>(PADS + (<usize>i32x4.extract_lane(short, 1) << 3)), 8)
    store<u64>(prefix, three | load<u64>(PADS + (<usize>i32x4.extract_lane(short, 2) << 3)), 16)
    store<u64>(prefix, four | load<u64>(PADS + (<usize>i32x4.extract_lane(short, 3) << 3)), 24)

    let state = start
    let rest = lengths
    while (true) {
      const firstTwo = i64x2.replace_lane(i64x2.splat(one), 1, two)
      const lastTwo = i64x2.replace_lane(i64x2.splat(three), 1, four)
      const low = v128.shuffle<i32>(firstTwo, lastTwo, 0, 2, 4, 6)
      const high = v128.shuffle<i32>(firstTwo, lastTwo, 1, 3, 5, 7)
      state = step(state, v128.and(low, lowByte), multiplier, rest, 0)
      state = step(state, v128.and(i32x4.shr_u(low, 8), lowByte), multiplier, rest, 1)
      state = step(state, v128.and(i32x4.shr_u(low, 16), lowByte), multiplier, rest, 2)
      state = step(state, i32x4.shr_u(low, 24), multiplier, rest, 3)
      state = step(state, v128.and(high, lowByte), multiplier, rest, 4)
      state = step(state, v128.and(i32x4.shr_u(high, 8), lowByte), multiplier, rest, 5)
      state = step(state, v128.and(i32x4.shr_u(high, 16), lowByte), multiplier, rest, 6)
      state = step(state, i32x4.shr_u(high, 24), multiplier, rest, 7)
      rest = i32x4.sub(rest, i32x4.splat(8))
      if (!v128.any_true(i32x4.gt_s(rest, i32x4.splat(0)))) break
      first += 8
      second += 8
      third += 8
      fourth += 8
      one = load<u64>(first)
      two = load<u64>(second)
      three = load<u64>(third)
      four = load<u64>(fourth)
    }
    state = i32x4.mul(v128.xor(state, i32x4.shr_u(state, 16)), i32x4.splat(0x85ebca6b))
    state = i32x4.mul(v128.xor(state, i32x4.shr_u(state, 13)), i32x4.splat(0xc2b2ae35))
    v128.store(HASHES + (<usize>word << 2), v128.xor(state, i32x4.shr_u(state, 16)))
  }

  if (v128.any_true(i32x4.gt_s(longest, i32x4.splat(nameBytesMax)))) {
    for (let edge = EDGES; tooLong == 0; edge += 8) {
      if (<i32>(load<u32>(edge, 4) - load<u32>(edge)) > nameBytesMax) tooLong = load<u32>(edge)
    }
  }
  return (
    i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1) + i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3)
  )
}

/** One byte of each word that has one at `index`. */
// @ts-ignore: decorator
@inline
function step(state: v128, bytes: v128, multiplier: v128, lengths: v128, index: i32): v128 {
  return v128.bitselect(i32x4.mul(v128.xor(state, bytes), multiplier), state, i32x4.gt_s(lengths, i32x4.splat(index)))
}

/** Reads the slots of all words, so that their cache misses overlap. */
function touch(words: i32): void {
  const shift = 32 - slotBits
  let all: u32 = 0
  for (let word = 0; word < words; word++) {
    all ^= load<u32>(slots + (<usize>(load<u32>(HASHES + (<usize>word << 2)) >> shift) << 4))
  }
  touched = all
}

function countWords(words: i32, step: u64): i32 {
  const home = slots
  const shift = 32 - slotBits
  const mask = (<usize>16 << slotBits) - 1
  const nameBytes = names
  const nameBounds = bounds
  const nameHashes = hashes
  const nameAmounts = amounts
  const zero = i64x2.splat(0)
  let nameCount = count
  let end: usize = load<u32>(bounds + (<usize>count << 2))
  let number: u32 = 0
  let carried = false

  for (let word = 0; word < words; word++) {
    const start: usize = load<u32>(EDGES + (<usize>word << 3))
    const length: usize = load<u32>(EDGES + (<usize>word << 3), 4) - start
    const hash = load<u32>(HASHES + (<usize>word << 2))
    const prefix = load<u64>(PREFIXES + (<usize>word << 3))

    // As if the name were new.
    v128.store(nameBytes + end, v128.load(start))
    store<u32>(nameBounds + (<usize>nameCount << 2), <u32>(end + length), 4)
    store<u32>(nameHashes + (<usize>nameCount << 2), hash)
    v128.store(nameAmounts + (<usize>nameCount << 4), zero)

    let slot = <usize>(hash >> shift) << 4
    while (true) {
      const rest = load<u64>(home + slot, 8)
      number = <u32>(rest >> 32)
      if (<i32>(number == 0) | (<i32>(<u32>rest == hash) & <i32>(load<u64>(home + slot) == prefix))) {
        if (length < 8 || number == 0) break
        const base: usize = load<u32>(nameBounds + (<usize>number << 2) - 4)
        if (<usize>load<u32>(nameBounds + (<usize>number << 2)) - base == length) {
          if (same(nameBytes + base, start, length)) break
        }
      }
      slot = (slot + 16) & mask
    }
    const isNew = number == 0
    number = isNew ? nameCount + 1 : number
    store<u64>(home + slot, prefix)
    store<u64>(home + slot, <u64>hash | (<u64>number << 32), 8)
    const amount = nameAmounts + (<usize>number << 4) - 16
    const plus = load<u64>(amount) + step
    store<u64>(amount, plus)
    carried = carried | (plus < step)
    if (length > 16) {
      if (isNew) memory.copy(nameBytes + end, start, length)
    }
    end += isNew ? length : 0
    nameCount += <i32>isNew
  }
  count = nameCount
  if (carried) overflow = 1
  return <i32>number - 1
}

/** Whether two names of `length` bytes, from 8, are the same; their first eight bytes are known to be. */
function same(ours: usize, theirs: usize, length: usize): bool {
  for (let at: usize = 8; at + 8 < length; at += 8) {
    if (load<u64>(ours + at) != load<u64>(theirs + at)) return false
  }
  return load<u64>(ours + length - 8) == load<u64>(theirs + length - 8)
}

/** Makes room for so many more names and bytes. */
function reserve(words: i32, byteCount: usize): void {
  const bytes = <usize>load<u32>(bounds + (<usize>count << 2)) + byteCount + SPARE_BYTES
  if (bytes > nameCapacity) growNames(max(nameCapacity << (nameCapacity < NAMES_LARGE ? 1 : 2), bytes))
  const rows = count + words + 1
  if (rows > rowCapacity) growRows(max(rowCapacity << (rowCapacity < ROWS_LARGE ? 1 : 2), rows))
  if (slotBits == 0) openTable(rows)
  while (rows * 2 > 1 << slotBits) growTable()
}

function growNames(bytes: usize): void {
  const target = allocate(bytes)
  if (count > 0) memory.copy(target, names, load<u32>(bounds + (<usize>count << 2)))
  names = target
  nameCapacity = bytes
}

function growRows(rows: i32): void {
  const newBounds = allocate((<usize>rows + 1) << 2)
  const newHashes = allocate(<usize>rows << 2)
  const newAmounts = allocate(<usize>rows << 4)
  if (count > 0) {
    memory.copy(newBounds, bounds, (<usize>count + 1) << 2)
    memory.copy(newHashes, hashes, <usize>count << 2)
    memory.copy(newAmounts, amounts, <usize>count << 4)
  }
  bounds = newBounds
  hashes = newHashes
  amounts = newAmounts
  rowCapacity = rows
}

/** Takes a table for about so many names. */
function openTable(expected: i32): void {
  const bits = min(max(33 - clz(expected), SLOT_BITS_MIN), 12)
  slots = tableOf(bits)
  slotBits = bits
}

function growTable(): void {
  // What is large grows faster: fresh pages of memory cost as much as filling them.
  const bits = slotBits < SLOT_BITS_LARGE ? slotBits + 1 : slotBits + 2
  const target = tableOf(bits)
  const shift = 32 - bits
  const mask = (<usize>16 << bits) - 1
  const end = slots + (<usize>16 << slotBits)
  if (count > 0) {
    for (let slot = slots; slot < end; slot += 16) {
      const content = v128.load(slot)
      if (i32x4.extract_lane(content, 3) == 0) continue
      let at = <usize>(<u32>i32x4.extract_lane(content, 2) >> shift) << 4
      while (load<u32>(target + at, 12) != 0) at = (at + 16) & mask
      v128.store(target + at, content)
    }
    memory.fill(slots, 0, end - slots)
  }
  slots = target
  slotBits = bits
}

function tableOf(bits: i32): usize {
  if (bits > SLOT_BITS_MAX) unreachable()
  const at = TABLES + (<usize>bits << 2)
  if (load<u32>(at) == 0) {
    const bytes = <usize>16 << bits
    const table = allocate(bytes)
    // A fresh page that is read first is mapped twice, the second time when it is written.
    for (let page: usize = 0; page < bytes; page += PAGE_BYTES) store<u32>(table + page, 0)
    store<u32>(at, <u32>table)
  }
  return load<u32>(at)
}

/** Memory is never given back; the other side drops the whole instance when it grew large. Traps when there is no more. */
function allocate(bytes: usize): usize {
  const at = (top + 63) & ~63
  const end = <u64>at + <u64>bytes + <u64>nameBytesMax + <u64>SPARE_BYTES
  const missing = <i64>((end + 0xffff) >> 16) - <i64>memory.size()
  if (missing > 0) {
    if (missing > 0xffff) unreachable()
    if (memory.grow(<i32>missing) < 0) unreachable()
  }
  top = at + bytes
  return at
}

function publish(): void {
  store<u32>(STATE, count)
  store<u32>(STATE, tokens, 4)
  store<u32>(STATE, <u32>limit, 8)
  store<u32>(STATE, <u32>tooLong, 12)
  store<u32>(STATE, overflow, 16)
  store<u32>(STATE, <u32>names, 20)
  store<u32>(STATE, <u32>bounds, 24)
  store<u32>(STATE, <u32>hashes, 28)
  store<u32>(STATE, <u32>amounts, 32)
  store<u32>(STATE, <u32>nameCapacity, 36)
  store<u32>(STATE, rowCapacity, 40)
}
