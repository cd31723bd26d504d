/** Event files: the checksum's known answers, and the bytes that TensorBoard's own reader took (version and two scalars). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32c, scalarsRecord, versionRecord } from './event-file.js';

test('CRC-32C gives the answers of RFC 3720', () => {
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
  assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
});

test('records are those of the reference writer, byte for byte', () => {
  assert.equal(
    versionRecord(1.5).toString('hex'),
    '1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c',
  );
  const scalars = scalarsRecord(2.25, 300, { 'train/loss': 0.5, 'eval/world/pope': 93 });
  assert.equal(
    scalars.toString('hex'),
    '39000000000000008b0737f109000000000000024010ac022a2b0a110a0a747261696e2f6c6f7373150000003f0a160a0f6576616c2f776f726c642f706f7065150000ba423c9b7122',
  );
});
