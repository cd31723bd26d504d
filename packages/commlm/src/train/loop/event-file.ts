/**
 * TensorBoard event files, written by hand: records of a length, a checksum of it, an `Event` protocol buffer, a checksum.
 *
 *     u64 length | u32 masked CRC-32C of the 8 bytes before | data | u32 masked CRC-32C of data      little-endian
 *     Event   { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5 }
 *     Summary { repeated Value value = 1 }    Value { string tag = 1; float simple_value = 2 }
 */
import { appendFileSync, writeFileSync } from 'node:fs';

const CASTAGNOLI = 0x82f63b78;
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ CASTAGNOLI : crc >>> 1;
  return crc;
});

/** CRC-32C (Castagnoli). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 0xff]!;
  return (crc ^ 0xffffffff) >>> 0;
}

/** The rotated and shifted form in which record files store a checksum. */
const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

function record(data: Uint8Array): Buffer {
  const out = Buffer.alloc(16 + data.length);
  out.writeBigUInt64LE(BigInt(data.length));
  out.writeUInt32LE(masked(crc32c(out.subarray(0, 8))), 8);
  out.set(data, 12);
  out.writeUInt32LE(masked(crc32c(data)), 12 + data.length);
  return out;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return Buffer.from([...bytes, Number(rest)]);
}

/** A field of variable length: text or a message. */
function bytesField(number: number, data: Uint8Array): Buffer {
  return Buffer.concat([varint((number << 3) | 2), varint(data.length), data]);
}

function doubleField(number: number, value: number): Buffer {
  const out = Buffer.alloc(9);
  out.writeUInt8((number << 3) | 1);
  out.writeDoubleLE(value, 1);
  return out;
}

function floatField(number: number, value: number): Buffer {
  const out = Buffer.alloc(5);
  out.writeUInt8((number << 3) | 5);
  out.writeFloatLE(value, 1);
  return out;
}

const stepField = (step: number): Buffer =>
  step === 0 ? Buffer.alloc(0) : Buffer.concat([varint(2 << 3), varint(step)]);

/** The record that begins a file; `time` in seconds. */
export function versionRecord(time: number): Buffer {
  return record(Buffer.concat([doubleField(1, time), bytesField(3, Buffer.from('brain.Event:2'))]));
}

/** The record of the figures of a step; `time` in seconds since 1970. */
export function scalarsRecord(time: number, step: number, figures: Readonly<Record<string, number>>): Buffer {
  const values = Object.entries(figures).map(([tag, value]) =>
    bytesField(1, Buffer.concat([bytesField(1, Buffer.from(tag)), floatField(2, value)])),
  );
  return record(Buffer.concat([doubleField(1, time), stepField(step), bytesField(5, Buffer.concat(values))]));
}

/** An event file that figures are appended to. */
export class EventFile {
  readonly #path: string;

  /** Begins the file. @param time seconds since 1970. */
  constructor(path: string, time: number) {
    this.#path = path;
    writeFileSync(path, versionRecord(time));
  }

  add(time: number, step: number, figures: Readonly<Record<string, number>>): void {
    appendFileSync(this.#path, scalarsRecord(time, step, figures));
  }
}
