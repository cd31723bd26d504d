/** The wire format of protocol buffers, as far as SentencePiece models need it; every length is checked. */

/** Walks over the fields of one message. */
export class ProtoReader {
  /** Number of the field that `next` found. */
  field = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #fail: (why: string) => never;
  #at = 0;
  #wire = 0;

  constructor(bytes: Uint8Array, fail: (why: string) => never) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#fail = fail;
  }

  /** Goes to the next field; false at the end. */
  next(): boolean {
    if (this.#at >= this.#bytes.length) return false;
    const tag = this.#varint();
    this.field = Number(tag >> 3n);
    this.#wire = Number(tag & 7n);
    if (this.field === 0) this.#fail('a field has no number');
    return true;
  }

  /** A whole number (or truth value) of 32 bits. */
  int(): number {
    this.#expect(0);
    return Number(BigInt.asIntN(32, this.#varint()));
  }

  float(): number {
    this.#expect(5);
    return this.#view.getFloat32(this.#skip(4), true);
  }

  bytes(): Uint8Array {
    this.#expect(2);
    const length = Number(this.#varint());
    const start = this.#skip(length);
    return this.#bytes.subarray(start, start + length);
  }

  text(): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.bytes());
    } catch (error) {
      if (error instanceof TypeError) this.#fail('a text is not UTF-8');
      throw error;
    }
  }

  message(): ProtoReader {
    return new ProtoReader(this.bytes(), this.#fail);
  }

  /** Passes over the field. */
  skip(): void {
    if (this.#wire === 0) this.#varint();
    else if (this.#wire === 1) this.#skip(8);
    else if (this.#wire === 2) this.bytes();
    else if (this.#wire === 5) this.#skip(4);
    else this.#fail(`a field has the wire type ${this.#wire}`);
  }

  #expect(wire: number): void {
    if (this.#wire !== wire) this.#fail(`field ${this.field} has the wire type ${this.#wire}`);
  }

  #skip(length: number): number {
    const start = this.#at;
    if (start + length > this.#bytes.length) this.#fail('it ends in the middle of a field (a truncated file?)');
    this.#at += length;
    return start;
  }

  #varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#skip(1)]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    return this.#fail('a number is too long');
  }
}
