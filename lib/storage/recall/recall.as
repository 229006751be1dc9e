// The rows of names that came lately, in WebAssembly: a name is compared with the 16 bytes at its place, and no branch depends on it.
// AssemblyScript (assemblyscript.org); `npm run kernel` compiles it to wasm.ts. lib/storage/recall.ts is the other side, and the only user.
//
// The low bits of a name's hash tell its place, where it displaces what was there. A place:
//   11 bytes of name, zeros behind it; its length; row + 1, which is 0 in an empty place
// Longer names have none, so a name is whole there, and no other is taken for it.

/** Names of one call at most, and bytes of all of them. */
const NAMES_MAX: i32 = 512
const BYTES_MAX: i32 = 16384
const PLACES: i32 = 65536
/** The longest name that has a place. */
const LENGTH_MAX: i32 = 11

const NAMES: usize = memory.data(BYTES_MAX + 16, 16)
const ENDS: usize = memory.data(NAMES_MAX * 4, 16)
const HASHES: usize = memory.data(NAMES_MAX * 4, 16)
const ROWS: usize = memory.data(NAMES_MAX * 4, 16)
const TABLE: usize = memory.data(PLACES * 16, 64)
/** What is n bytes before their middle keeps the first n bytes of a vector. */
const MASKS: usize = memory.data<u64>([-1, -1, 0, 0])

export function names(): usize {
  return NAMES
}
export function ends(): usize {
  return ENDS
}
export function hashes(): usize {
  return HASHES
}
export function rows(): usize {
  return ROWS
}

/** For each of `count` names its row, or 0xffffffff. Ends are counted from `base`, where the first name starts. */
export function find(count: i32, base: i32): void {
  let start = 0
  for (let name: usize = 0; name < <usize>count << 2; name += 4) {
    const end = load<i32>(ENDS + name) - base
    const place = v128.load(placeOf(name))
    const row = i32x4.extract_lane(place, 3)
    const differs = v128.xor(contentOf(start, end), i32x4.replace_lane(place, 3, 0))
    store<u32>(ROWS + name, select<u32>(0, row, v128.any_true(differs)) - 1)
    start = end
  }
}

/** Gives the names of the last call places, as far as their rows are known now. */
export function learn(count: i32, base: i32): void {
  let start = 0
  for (let name: usize = 0; name < <usize>count << 2; name += 4) {
    const end = load<i32>(ENDS + name) - base
    const mark = load<u32>(ROWS + name) + 1
    if (<i32>(mark != 0) & <i32>(end - start <= LENGTH_MAX)) {
      v128.store(placeOf(name), i32x4.replace_lane(contentOf(start, end), 3, mark))
    }
    start = end
  }
}

// @ts-ignore: decorator
@inline
function placeOf(name: usize): usize {
  return TABLE + (<usize>(load<u32>(HASHES + name) & (PLACES - 1)) << 4)
}

/** A name as its place holds it, without a row. Of a longer one the length is one that no place has. */
// @ts-ignore: decorator
@inline
function contentOf(start: i32, end: i32): v128 {
  const length = min(end - start, LENGTH_MAX + 1)
  return i8x16.replace_lane(v128.and(v128.load(NAMES + start), v128.load(MASKS + 16 - length)), <u8>LENGTH_MAX, <i8>length)
}
