/** Pickles that hold plain data alone, as the values that JSON would give: lists, objects with names, numbers and texts. */
import { type Fail, type PickleBytes, readPickle } from './pickle.js';

/** Bytes that are in memory already. */
class MemoryBytes implements PickleBytes {
  readonly #bytes: Buffer;
  readonly #fail: Fail;
  #position = 0;

  constructor(bytes: Uint8Array, fail: Fail) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#fail = fail;
  }

  byte(): number {
    return this.take(1)[0]!;
  }

  take(length: number): Buffer {
    const end = this.#position + length;
    if (end > this.#bytes.length) this.#fail('its pickle ends in the middle of a value (a truncated file?)');
    const taken = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return taken;
  }

  line(limit: number): Buffer {
    const end = this.#bytes.indexOf(0x0a, this.#position);
    if (end < 0) this.#fail('its pickle ends in the middle of a line (a truncated file?)');
    if (end - this.#position > limit) this.#fail(`it has a line of more than ${limit} bytes`);
    const line = this.take(end - this.#position);
    this.#position++;
    return line;
  }
}

/**
 * The value of a pickle of any protocol. Nothing is imported or run: a pickle that names a class is refused, and work and
 * memory are bounded by `maxValues`.
 *
 * @param fail throws the error of a pickle that is damaged or holds more than data; gets why, as a part of a sentence
 */
export function readPlainPickle(bytes: Uint8Array, { fail, maxValues }: { fail: Fail; maxValues: number }): unknown {
  const refuseClass = (name: string): never => fail(`it holds an object of the class ${name}`);
  const persistent = (): never => fail('it refers to objects outside of it');
  return plain(
    readPickle(new MemoryBytes(bytes, fail), { global: refuseClass, persistent, fail, maxValues }),
    new Map(),
  );
}

/** Dicts as objects, tuples as lists; what is shared stays shared, or a small pickle would become a large value. */
function plain(value: unknown, made: Map<unknown, unknown>): unknown {
  if (!(value instanceof Map) && !Array.isArray(value)) return value;
  const known = made.get(value);
  if (known !== undefined) return known;
  const copy = Array.isArray(value)
    ? value.map((item) => plain(item, made))
    : Object.fromEntries([...value].map(([key, item]) => [String(key), plain(item, made)]));
  made.set(value, copy);
  return copy;
}
