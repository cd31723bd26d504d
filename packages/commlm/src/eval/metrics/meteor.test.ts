/**
 * METEOR against the jar: with the invented tables of the repository always, with those of its release where they are.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { crc32, gunzipSync } from 'node:zlib';
import { loadMeteor } from '../formats/meteor-data.js';
import { MeteorScorer } from './meteor.js';
import { normalizeForMeteor } from './meteor-normalizer.js';
import { deserializeParaphrases, ParaphraseBuilder, Paraphrases, serializeParaphrases } from './meteor-paraphrases.js';
import { stemEnglish } from './porter2.js';
import { ptbTokenize } from './ptb-tokenizer.js';

const FOLDER = fileURLToPath(new URL('../../../../../tests/golden/metrics/', import.meta.url));

interface Golden {
  images: Array<[string[], string]>;
  names: string[];
  corpus: number[];
  perImage: number[][];
  meteorWithInventedTables: Record<string, { corpus: number; perImage: number[] }>;
}

const golden = JSON.parse(gunzipSync(readFileSync(join(FOLDER, 'captions.json.gz'))).toString('utf8')) as Golden;

function tokenized(): { references: string[][]; candidates: string[] } {
  const flat = ptbTokenize(golden.images.flatMap(([references]) => references));
  let next = 0;
  const references = golden.images.map(([group]) => {
    next += group.length;
    return flat.slice(next - group.length, next);
  });
  return { references, candidates: ptbTokenize(golden.images.map(([, prediction]) => prediction)) };
}

function assertEqualScores(scorer: MeteorScorer, corpus: number, perImage: readonly number[]): void {
  const { references, candidates } = tokenized();
  const scores = scorer.score(references, candidates);
  scores.perCaption.forEach((score, i) => {
    assert.ok(Math.abs(score - perImage[i]!) < 1e-9, `image ${i}: ${score} is not ${perImage[i]}`);
  });
  assert.ok(Math.abs(scores.corpus - corpus) < 1e-9, 'corpus');
}

let home: string;
let previousHome: string | undefined;

before(() => {
  home = mkdtempSync(join(tmpdir(), 'commlm-meteor-'));
  previousHome = process.env['XDG_CACHE_HOME'];
  process.env['XDG_CACHE_HOME'] = home;
});

after(() => {
  if (previousHome === undefined) delete process.env['XDG_CACHE_HOME'];
  else process.env['XDG_CACHE_HOME'] = previousHome;
  rmSync(home, { recursive: true });
});

test('METEOR equals the jar with all four modules, built and from the cache', async () => {
  const { corpus, perImage } = golden.meteorWithInventedTables['METEOR'] as { corpus: number; perImage: number[] };
  const notes: string[] = [];
  for (const expected of [1, 1]) {
    const scorer = await loadMeteor(join(FOLDER, 'meteor'), (line) => notes.push(line));
    assert.equal(scorer.name, 'METEOR');
    assertEqualScores(scorer, corpus, perImage);
    assert.equal(notes.length, expected, 'the table is built once');
  }
});

/** A jar (a zip archive) of stored members. */
function jarOf(members: Readonly<Record<string, Buffer>>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, bytes] of Object.entries(members)) {
    const head = Buffer.alloc(26);
    head.writeUInt16LE(20, 0);
    head.writeUInt32LE(crc32(bytes), 10);
    head.writeUInt32LE(bytes.length, 14);
    head.writeUInt32LE(bytes.length, 18);
    head.writeUInt16LE(name.length, 22);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    directory.push(Buffer.from('PK\x01\x02\x14\x00', 'latin1'), head, tail, Buffer.from(name));
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), head, Buffer.from(name), bytes]);
    parts.push(local);
    offset += local.length;
  }
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(parts.length, 8);
  end.writeUInt16LE(parts.length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, ...directory, end]);
}

test('synonyms come from the jar of the release as well', async () => {
  const { corpus, perImage } = golden.meteorWithInventedTables['METEOR ex+st+sy'] as {
    corpus: number;
    perImage: number[];
  };
  const tables = ['synonym/english.synsets', 'synonym/english.exceptions'];
  const members = tables.map((name) => [name, readFileSync(join(FOLDER, 'meteor', name))] as const);
  const release = join(home, 'release');
  mkdirSync(release);
  const whole = jarOf({ 'META-INF/MANIFEST.MF': Buffer.from('Manifest-Version: 1.0'), ...Object.fromEntries(members) });
  writeFileSync(join(release, 'meteor-1.5.jar'), whole);
  const scorer = await loadMeteor(release);
  assert.equal(scorer.name, 'METEOR ex+st+sy');
  assertEqualScores(scorer, corpus, perImage);
  for (const [damaged, why] of [
    [whole.subarray(0, whole.length - 30), /the jar cannot be read/],
    [jarOf(Object.fromEntries(members.slice(1))), /it has no English synonyms/],
  ] as const) {
    writeFileSync(join(release, 'meteor-1.5.jar'), damaged);
    await assert.rejects(loadMeteor(release), why);
  }
});

test('METEOR without paraphrases and without tables equals the jar, and its name says so', async () => {
  const withSynonyms = golden.meteorWithInventedTables['METEOR ex+st+sy'] as { corpus: number; perImage: number[] };
  const stems = golden.meteorWithInventedTables['METEOR ex+st'] as { corpus: number; perImage: number[] };
  const full = await loadMeteor(join(FOLDER, 'meteor'));
  const synonyms = new MeteorScorer({ synonyms: full.tables.synonyms as NonNullable<typeof full.tables.synonyms> });
  assert.equal(synonyms.name, 'METEOR ex+st+sy');
  assertEqualScores(synonyms, withSynonyms.corpus, withSynonyms.perImage);
  assert.equal(new MeteorScorer().name, 'METEOR ex+st');
  assertEqualScores(new MeteorScorer(), stems.corpus, stems.perImage);
});

test('METEOR equals pycocoevalcap with the tables of the release', {
  skip: !process.env['COMMLM_METEOR_DATA'],
}, async () => {
  const scorer = await loadMeteor(process.env['COMMLM_METEOR_DATA']!);
  const k = golden.names.indexOf('METEOR');
  assertEqualScores(
    scorer,
    golden.corpus[k]!,
    golden.perImage.map((scores) => scores[k]!),
  );
});

test('corpus METEOR is not the mean: whole matches add no chunk', () => {
  const references = [['a man rides a horse'], ['two dogs on a beach']];
  const scores = new MeteorScorer().score(references, ['a man rides a horse', 'beach two dogs']);
  assert.equal(scores.perCaption[0], 1);
  assert.notEqual(scores.corpus, (scores.perCaption[0]! + scores.perCaption[1]!) / 2);
  assert.equal(new MeteorScorer().score([['a b c'], ['d e']], ['a b c', 'd e']).corpus, 1);
  assert.deepEqual(new MeteorScorer().score([['a b']], ['']), { corpus: 0, perCaption: [0] });
});

test('the normaliser opens dashes, drops the dots of abbreviations and splits the rest', () => {
  const cases: Array<[string, string]> = [
    ['a t-shirt', 'a t shirt'],
    ['u.s. flag', 'us flag'],
    ['1,000 dogs, two', '1,000 dogs , two'],
    ["the dog 's", "the dog ' s"],
    ["don't", "don 't"],
    ["1990's", "1990 's"],
    ['“x” ‘y’', '" x " \' y \''],
    ['end. Next', 'end . next'],
    ['end. next', 'end. next'],
    ['Mr. Smith', 'mr. smith'],
    ['No. 5', 'no. 5'],
    ['so...', 'so ...'],
    ['x – y -- z', 'x - y - z'],
    ['a\u00a0b', 'a b'],
  ];
  for (const [text, expected] of cases) assert.equal(normalizeForMeteor(text).join(' '), expected, text);
});

test('Porter 2 stems', () => {
  const stems =
    'riding ride|skies sky|flies fli|happily happili|generously generous|hopping hop|hoped hope|cries cri|dying die';
  for (const pair of `${stems}|sitting sit|gas gas|this this|kiwis kiwi|succeed succeed|y y|'tis tis`.split('|')) {
    const [word, stem] = pair.split(' ') as [string, string];
    assert.equal(stemEnglish(word), stem, word);
  }
});

test('the paraphrase table survives its cache format and refuses a damaged one', () => {
  const builder = new ParaphraseBuilder();
  const text = '0.1\nin the\nwithin a\n0.2\nin the\ninside\n0.3\ndog\npuppy\n';
  for (const byte of Buffer.from(text)) builder.add(Uint8Array.of(byte));
  const arrays = builder.finish();
  const file = Buffer.concat(serializeParaphrases(arrays));
  const aligned = Buffer.from(new Uint8Array(file).buffer);
  const table = new Paraphrases(deserializeParaphrases(aligned) ?? assert.fail('not read'));
  const ids = table.wordIds(['in', 'the', 'dog', 'unknown']);
  const alternatives = table.entriesAt(ids, 0).flatMap(({ length, phrases }) => Array.from(phrases, () => length));
  assert.deepEqual(alternatives, [2, 2]);
  assert.equal(table.entriesAt(ids, 2).length, 1);
  assert.equal(ids[3], -1);
  assert.equal(deserializeParaphrases(aligned.subarray(0, aligned.length - 4)), null);
  assert.throws(() => {
    const cut = new ParaphraseBuilder();
    cut.add(Buffer.from('0.1\nin the\n'));
    cut.finish();
  }, RangeError);
});

test('a folder without tables is refused', async () => {
  await assert.rejects(loadMeteor(home), /neither meteor-1\.5\.jar nor synonym/);
  await assert.rejects(loadMeteor(join(home, 'none')), /no such folder/);
});
