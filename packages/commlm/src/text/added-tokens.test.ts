/** Added tokens of all files that may list them, with their flags; ids by transformers 5.24.0 over the same folders. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Tokenizer } from './tokenizer.js';

const STEPS = [
  { type: 'Replace', pattern: { String: '\u2581' }, content: ' ' },
  { type: 'ByteFallback' },
  { type: 'Fuse' },
];
const JSON_FILE = {
  added_tokens: [] as unknown[],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: { type: 'Sequence', decoders: STEPS },
  model: { type: 'BPE', vocab: { a: 0, b: 1, '\u2581': 2, c: 3, ab: 4 }, merges: [['a', 'b']] },
};
const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
const listed = (id: unknown, content: string, more = {}): unknown => ({ id, content, ...flags, ...more });

/** Loads a folder of these files. */
async function load(files: Readonly<Record<string, unknown>>): Promise<Tokenizer> {
  const folder = mkdtempSync(join(tmpdir(), 'commlm-added-tokens-'));
  try {
    for (const [name, content] of Object.entries({ 'tokenizer.json': JSON_FILE, ...files })) {
      writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
    }
    return await Tokenizer.load(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const ids = (tokenizer: Tokenizer): number[] => tokenizer.encodeParts(tokenizer.splitSpecial('ab<e>c<x>a')).ids;
const config = (fields: object): Record<string, unknown> => ({ 'tokenizer_config.json': fields });

test('tokens that only another file lists are tokens', async () => {
  const decoder = await load(config({ eos_token: '<e>', added_tokens_decoder: { 5: { content: '<e>', ...flags } } }));
  assert.deepEqual([ids(decoder), decoder.eosId, decoder.vocabSize], [[4, 5, 3, 0], 5, 6]);
  assert.ok(!decoder.encode('<e>').includes(5), 'not in a text of a user');
  const older = await load({
    ...config({ eos_token: '<e>', additional_special_tokens: ['<x>'] }),
    'added_tokens.json': { '<e>': 5, '<x>': 6 },
  });
  assert.deepEqual([ids(older), older.eosId, older.isDeclaredSpecial(6)], [[4, 5, 3, 6, 0], 5, true]);
  const both = await load({
    'tokenizer.json': { ...JSON_FILE, added_tokens: [listed(5, '<e>')] },
    'added_tokens.json': { '<e>': 5, '<x>': 6 },
  });
  assert.deepEqual([ids(both), both.isDeclaredSpecial(5), both.isDeclaredSpecial(6)], [[4, 5, 3, 6, 0], true, false]);
  const ignored = await load({
    ...config({ added_tokens_decoder: { 5: { content: '<e>', ...flags } } }),
    'added_tokens.json': { '<x>': 6 },
  });
  assert.deepEqual(ids(ignored), [4, 5, 3, 0]);
});

test('names come from special_tokens_map.json first, unless tokenizer_config.json lists tokens', async () => {
  const map = { 'special_tokens_map.json': { eos_token: { content: 'c', lstrip: false }, pad_token: 'b' } };
  const mapped = await load({ ...config({ eos_token: 'a' }), ...map });
  assert.deepEqual([mapped.eosId, mapped.padId], [3, 1]);
  assert.deepEqual(mapped.splitSpecial('abc'), ['a', 1, 3]);
  const unmapped = await load({ ...config({ eos_token: 'a', added_tokens_decoder: {} }), ...map });
  assert.deepEqual([unmapped.eosId, unmapped.padId], [0, 0]);
  const named = await load(config({ eos_token: 'c' }));
  assert.deepEqual([named.eosId, named.isSpecial(3), named.splitSpecial('abca')], [3, true, ['ab', 3, 'a']]);
});

test('the last file that lists a token has the word about its flags', async () => {
  const tokenizer = await load({
    'tokenizer.json': { ...JSON_FILE, added_tokens: [listed(5, '<e>')] },
    ...config({ added_tokens_decoder: { 5: { content: '<e>', ...flags, lstrip: true, special: false } } }),
  });
  assert.equal(tokenizer.isDeclaredSpecial(5), false);
  assert.deepEqual(tokenizer.encodeParts(tokenizer.splitSpecial('a  <e>b')).ids, [0, 5, 1]);
});

test('a named token without an id, and an id that cannot be, are refused by name', async () => {
  for (const [files, code] of [
    [config({ eos_token: '<e>' }), 'text/token-without-id'],
    [config({ pad_token: '<p>' }), 'text/token-without-id'],
    [config({ additional_special_tokens: ['<x>'] }), 'text/token-without-id'],
    [config({ extra_special_tokens: { image_token: '<x>' } }), 'text/token-without-id'],
    [config({ image_token: '<x>' }), 'text/token-without-id'],
    [{ 'special_tokens_map.json': { bos_token: '<e>' } }, 'text/token-without-id'],
    [config({ added_tokens_decoder: { 9: { content: '<e>' } } }), 'text/token-id'],
    [config({ added_tokens_decoder: { 1: { content: '<e>' } } }), 'text/token-id'],
    [{ 'added_tokens.json': { '<e>': 9 } }, 'text/token-id'],
    [{ 'tokenizer.json': { ...JSON_FILE, added_tokens: [listed(9, '<e>')] } }, 'text/token-id'],
    [{ 'tokenizer.json': { ...JSON_FILE, added_tokens: [listed(3, 'a')] } }, 'text/token-id'],
    [{ 'tokenizer.json': { ...JSON_FILE, added_tokens: [listed(5, '<e>'), listed(6, '<e>')] } }, 'text/token-id'],
    ...[-7, 2 ** 40, 'x', 1.5, null].map(
      (id) =>
        [{ 'tokenizer.json': { ...JSON_FILE, added_tokens: [listed(id, '<e>')] } }, 'text/tokenizer-invalid'] as const,
    ),
    ...['x', '-7', '1.5'].map(
      (id) => [config({ added_tokens_decoder: { [id]: { content: '<e>' } } }), 'text/tokenizer-invalid'] as const,
    ),
    [config({ added_tokens_decoder: { 5: '<e>' } }), 'text/tokenizer-invalid'],
    [config({ added_tokens_decoder: { 5: { content: '<e>', lstrip: 'yes' } } }), 'text/tokenizer-invalid'],
    ...[-7, 2 ** 40, 'x'].map(
      (id) =>
        [
          { 'tokenizer.json': { ...JSON_FILE, model: { ...JSON_FILE.model, vocab: { a: id } } } },
          'text/tokenizer-invalid',
        ] as const,
    ),
    ...['{}', '[]', 'null', '{"model": 3}'].map(
      (text) => [{ 'tokenizer.json': text }, 'text/tokenizer-invalid'] as const,
    ),
    ...['[]', '3'].map((text) => [{ 'tokenizer_config.json': text }, 'text/tokenizer-invalid'] as const),
    [{ 'tokenizer.json': 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n' }, 'file/stand-in'],
    [{ 'tokenizer.json': '<!DOCTYPE html><html></html>' }, 'file/stand-in'],
    [{ 'tokenizer.json': `${'['.repeat(5000)}${']'.repeat(5000)}` }, 'file/bad-json'],
  ] as const) {
    await assert.rejects(load(files), { name: 'CommError', code }, JSON.stringify(files).slice(0, 200));
  }
});

test('steps that are not known, or lack a field, are refused by name', async () => {
  for (const [field, step] of [
    ['normalizer', { type: 'Precompiled', precompiled_charsmap: '' }],
    ['normalizer', { type: 'Prepend' }],
    ['normalizer', { type: 'Replace', pattern: {}, content: '' }],
    ['normalizer', 'NFC'],
    ['pre_tokenizer', { type: 'UnicodeScripts' }],
    ['pre_tokenizer', { type: 'ByteLevel', add_prefix_space: false }],
    ['pre_tokenizer', { type: 'Digits' }],
    ['pre_tokenizer', { type: 'Metaspace', replacement: '\u2581', add_prefix_space: false, prepend_scheme: 'always' }],
    ['pre_tokenizer', { type: 'Split', pattern: { String: ' ' }, behavior: 'isolated', invert: false }],
    ['pre_tokenizer', { type: 'Sequence' }],
    ['decoder', { type: 'WordPiece', prefix: '##', cleanup: true }],
    ['decoder', { type: 'Sequence', decoders: [...STEPS, { type: 'Strip', content: ' ', start: 2, stop: 0 }] }],
    [
      'decoder',
      { type: 'Sequence', decoders: [...STEPS, { type: 'Replace', pattern: { String: 'a' }, content: 'b' }] },
    ],
    ['decoder', null],
    ['model', { ...JSON_FILE.model, dropout: 0.1 }],
    ['model', { ...JSON_FILE.model, continuing_subword_prefix: '##' }],
    ['model', { ...JSON_FILE.model, merges: [['a', 'z']] }],
    ['model', { ...JSON_FILE.model, merges: ['a b c'] }],
  ] as const) {
    const json = { ...JSON_FILE, [field]: step };
    await assert.rejects(
      load({ 'tokenizer.json': json }),
      { name: 'CommError', code: /^text\/tokenizer-(?:type|invalid)$/ },
      JSON.stringify(step),
    );
  }
});

test('a special token of the normalised text is found where the reference finds it, or refused', async () => {
  const steps = [
    { type: 'Prepend', prepend: '\u2581' },
    { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' },
  ];
  const normalized = { ...JSON_FILE, added_tokens: [listed(5, '<e>', { normalized: true })] };
  const plain = await load({ 'tokenizer.json': { ...normalized, normalizer: { type: 'Lowercase' } } });
  assert.deepEqual(plain.splitSpecial('a<e>b'), ['a', 5, 'b']);
  const llama = await load({
    'tokenizer.json': { ...normalized, normalizer: { type: 'Sequence', normalizers: steps } },
  });
  // Its normalised spelling begins with a space.
  assert.deepEqual(llama.splitSpecial('a<e>b'), ['a<e>b']);
  assert.throws(() => llama.splitSpecial('a <e>b'), { code: 'text/normalized-special' });
});
