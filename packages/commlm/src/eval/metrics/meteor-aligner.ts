/**
 * The word aligner of METEOR 1.5 (Denkowski and Lavie 2014): every match that a module finds is listed, the unambiguous
 * ones are fixed, and a beam search over the reference picks the rest.
 */
import { stemEnglish } from './porter2.js';

/** A kind of match, in the order the modules are asked. */
export type MeteorModule = 'exact' | 'stem' | 'synonym' | 'paraphrase';

/** Looks up the synonym sets of a word, directly and through its base forms. */
export interface SynonymTable {
  setsOf(word: string): ReadonlySet<number>;
}

/** A phrase of `length` words and the phrases that may stand for it. */
export interface ParaphraseEntry {
  readonly length: number;
  readonly phrases: ArrayLike<number>;
}

/** Looks up phrases by number. */
export interface ParaphraseTable {
  /** Number of each word, -1 for an unknown one. */
  wordIds(words: readonly string[]): Int32Array;
  /** Entries for the phrases that start at `start`, shorter ones first. */
  entriesAt(wordIds: Int32Array, start: number): readonly ParaphraseEntry[];
  /** Every known phrase of a text: its number, and where and how long it is, by start. */
  phrasesOf(
    wordIds: Int32Array,
  ): ReadonlyMap<number, ReadonlyArray<{ readonly start: number; readonly length: number }>>;
}

/** Tables of the modules in use; the exact and stem modules need none. */
export interface MeteorTables {
  readonly synonyms?: SynonymTable;
  readonly paraphrases?: ParaphraseTable;
}

/** Counts of one alignment, content and function words apart; module order exact, stem, synonym, paraphrase. */
export interface AlignmentCounts {
  readonly testLength: number;
  readonly referenceLength: number;
  readonly testFunctionWords: number;
  readonly referenceFunctionWords: number;
  readonly testContent: readonly number[];
  readonly referenceContent: readonly number[];
  readonly testFunction: readonly number[];
  readonly referenceFunction: readonly number[];
  readonly chunks: number;
}

const NUM_MODULES = 4;
const BEAM_SIZE = 40;
/** Weights of the search, not of the score: a single word matched by other than the exact module adds nothing. */
const SEARCH_WEIGHTS = [1, 0.5, 0.5, 0.5];

/** Words that carry little meaning, the most frequent ones and punctuation. */
const FUNCTION_WORDS: ReadonlySet<string> = new Set(
  [
    'the , . to of and a in that for " is on \'s it with was as said at he by be from have has are his but an this not i',
    'will ’ they ) -rrb- ( -lrb- who their had we which were been more or s its would about new one after you : also up',
    'when there than $ all out her people she year two - can if last first “ over other ” into some what so -- no time',
    "years could ? 't — '",
  ]
    .join(' ')
    .split(' '),
);

/** One side of an alignment with what the modules need of its words. */
export interface MeteorText {
  readonly words: readonly string[];
  /** Java's string hashes: METEOR takes words for equal when these are. */
  readonly keys: Int32Array;
  readonly stemKeys: Int32Array;
  readonly isFunction: readonly boolean[];
  readonly synonymSets?: ReadonlyArray<ReadonlySet<number>> | undefined;
  readonly wordIds?: Int32Array | undefined;
}

function javaHash(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
  return hash;
}

const stemKeys = new Map<string, number>();

function stemKeyOf(word: string): number {
  let key = stemKeys.get(word);
  if (key === undefined) {
    key = javaHash(stemEnglish(word));
    if (stemKeys.size > 100_000) stemKeys.clear();
    stemKeys.set(word, key);
  }
  return key;
}

/** Prepares normalised words for any number of alignments. */
export function prepareText(words: readonly string[], tables: MeteorTables): MeteorText {
  const { synonyms, paraphrases } = tables;
  return {
    words,
    keys: Int32Array.from(words, javaHash),
    stemKeys: Int32Array.from(words, stemKeyOf),
    isFunction: words.map((word) => FUNCTION_WORDS.has(word)),
    synonymSets: synonyms && words.map((word) => synonyms.setsOf(word)),
    wordIds: paraphrases?.wordIds(words),
  };
}

/** `length` words of the reference from `start` match `testLength` words of the test text from `testStart`. */
interface Match {
  readonly module: number;
  readonly start: number;
  readonly length: number;
  readonly testStart: number;
  readonly testLength: number;
}

/** All matches by their start in the reference, and how many of them cover each word. */
class MatchLists {
  readonly byStart: Match[][];
  readonly testCoverage: Int32Array;
  readonly referenceCoverage: Int32Array;

  constructor(test: MeteorText, reference: MeteorText) {
    this.byStart = reference.words.map(() => []);
    this.testCoverage = new Int32Array(test.words.length);
    this.referenceCoverage = new Int32Array(reference.words.length);
  }

  add(module: number, start: number, length: number, testStart: number, testLength: number): void {
    this.byStart[start]?.push({ module, start, length, testStart, testLength });
    for (let k = 0; k < testLength; k++) this.testCoverage[testStart + k] = this.testCoverage[testStart + k]! + 1;
    for (let k = 0; k < length; k++) this.referenceCoverage[start + k] = this.referenceCoverage[start + k]! + 1;
  }

  /** Adds a match for each pair of words that `agree`. */
  addPairs(module: number, agree: (testWord: number, referenceWord: number) => boolean): void {
    for (let j = 0; j < this.referenceCoverage.length; j++) {
      for (let i = 0; i < this.testCoverage.length; i++) if (agree(i, j)) this.add(module, j, 1, i, 1);
    }
  }
}

function intersects(a: ReadonlySet<number>, b: ReadonlySet<number>): boolean {
  if (a.size === 0 || b.size === 0) return false;
  for (const value of a) if (b.has(value)) return true;
  return false;
}

function addParaphrases(lists: MatchLists, test: MeteorText, reference: MeteorText, table: ParaphraseTable): void {
  const testIds = test.wordIds as Int32Array;
  const referenceIds = reference.wordIds as Int32Array;
  const testPhrases = table.phrasesOf(testIds);
  const referencePhrases = table.phrasesOf(referenceIds);
  for (let j = 0; j < referenceIds.length; j++) {
    for (const { length, phrases } of table.entriesAt(referenceIds, j)) {
      for (let k = 0; k < phrases.length; k++) {
        for (const found of testPhrases.get(phrases[k]!) ?? []) lists.add(3, j, length, found.start, found.length);
      }
    }
  }
  for (let i = 0; i < testIds.length; i++) {
    for (const { length, phrases } of table.entriesAt(testIds, i)) {
      for (let k = 0; k < phrases.length; k++) {
        for (const found of referencePhrases.get(phrases[k]!) ?? []) {
          lists.add(3, found.start, found.length, i, length);
        }
      }
    }
  }
}

function isSameText(test: MeteorText, reference: MeteorText): boolean {
  return test.keys.length === reference.keys.length && test.keys.every((key, i) => key === reference.keys[i]);
}

function listMatches(test: MeteorText, reference: MeteorText, tables: MeteorTables): MatchLists {
  const lists = new MatchLists(test, reference);
  lists.addPairs(0, (i, j) => test.keys[i] === reference.keys[j]);
  if (isSameText(test, reference)) return lists;
  lists.addPairs(1, (i, j) => test.stemKeys[i] === reference.stemKeys[j] && test.keys[i] !== reference.keys[j]);
  const testSets = test.synonymSets;
  const referenceSets = reference.synonymSets;
  if (testSets !== undefined && referenceSets !== undefined) {
    lists.addPairs(2, (i, j) => test.keys[i] !== reference.keys[j] && intersects(testSets[i]!, referenceSets[j]!));
  }
  if (tables.paraphrases !== undefined) addParaphrases(lists, test, reference, tables.paraphrases);
  return lists;
}

/** One hypothesis of the beam search. */
class Path {
  readonly matches: Array<Match | null>;
  readonly testUsed: Uint8Array;
  readonly referenceUsed: Uint8Array;
  /** Whole numbers: fractions are cut off at every step, as the original keeps these in integers. */
  testCovered = 0;
  referenceCovered = 0;
  chunks = 0;
  distance = 0;
  /** Next word of the reference that no match of this path has decided. */
  next = 0;
  /** End of the last match in the test text, -1 when no chunk is open. */
  lastTestEnd = -1;

  constructor(matches: Array<Match | null>, testUsed: Uint8Array, referenceUsed: Uint8Array) {
    this.matches = matches;
    this.testUsed = testUsed;
    this.referenceUsed = referenceUsed;
  }

  copy(): Path {
    const path = new Path(this.matches.slice(), this.testUsed.slice(), this.referenceUsed.slice());
    path.testCovered = this.testCovered;
    path.referenceCovered = this.referenceCovered;
    path.chunks = this.chunks;
    path.distance = this.distance;
    path.next = this.next;
    path.lastTestEnd = this.lastTestEnd;
    return path;
  }

  overlaps(match: Match): boolean {
    for (let k = 0; k < match.length; k++) if (this.referenceUsed[match.start + k] === 1) return true;
    for (let k = 0; k < match.testLength; k++) if (this.testUsed[match.testStart + k] === 1) return true;
    return false;
  }

  use(match: Match): void {
    this.matches[match.start] = match;
    this.referenceUsed.fill(1, match.start, match.start + match.length);
    this.testUsed.fill(1, match.testStart, match.testStart + match.testLength);
  }

  /** Counts a match that this path has taken. */
  count(match: Match): void {
    const weight = SEARCH_WEIGHTS[match.module]!;
    this.testCovered = Math.trunc(this.testCovered + match.testLength * weight);
    this.referenceCovered = Math.trunc(this.referenceCovered + match.length * weight);
    if (this.lastTestEnd !== -1 && match.testStart !== this.lastTestEnd) this.chunks++;
    this.next = match.start + match.length;
    this.lastTestEnd = match.testStart + match.testLength;
  }

  closeChunk(): void {
    if (this.lastTestEnd === -1) return;
    this.chunks++;
    this.lastTestEnd = -1;
  }
}

const offsetOf = (match: Match): number => Math.abs(match.start - match.testStart);

/** More covered words first, then fewer chunks, then less distance. */
function comparePaths(a: Path, b: Path): number {
  const covered = b.testCovered + b.referenceCovered - (a.testCovered + a.referenceCovered);
  return covered || a.chunks - b.chunks || a.distance - b.distance;
}

function fixUnambiguous(lists: MatchLists): Path {
  const path = new Path(
    lists.byStart.map(() => null),
    new Uint8Array(lists.testCoverage.length),
    new Uint8Array(lists.referenceCoverage.length),
  );
  for (const matches of lists.byStart) {
    const match = matches[0];
    if (match === undefined || matches.length > 1) continue;
    let isAlone = true;
    for (let k = 0; k < match.length; k++) isAlone &&= lists.referenceCoverage[match.start + k] === 1;
    for (let k = 0; k < match.testLength; k++) isAlone &&= lists.testCoverage[match.testStart + k] === 1;
    if (isAlone) path.use(match);
  }
  return path;
}

/** Paths that follow from `path` at word `current` of the reference. */
function extend(path: Path, current: number, matches: readonly Match[]): Path[] {
  if (path.referenceUsed[current] === 1) {
    if (current < path.next) return [path];
    const fixed = path.matches[path.next];
    if (!fixed) return [];
    path.count(fixed);
    path.distance += offsetOf(fixed);
    return [path];
  }
  const out: Path[] = [];
  for (const match of matches) {
    if (path.overlaps(match)) continue;
    const branch = path.copy();
    branch.use(match);
    branch.count(match);
    path.distance += offsetOf(match); // to the parent: a quirk of the original that later branches inherit
    out.push(branch);
  }
  path.closeChunk();
  path.next++;
  out.push(path);
  return out;
}

function searchBest(lists: MatchLists): Path {
  let paths: Path[] = [fixUnambiguous(lists)];
  for (let current = 0; current < lists.byStart.length; current++) {
    paths.sort(comparePaths);
    const beam = paths.slice(0, BEAM_SIZE);
    const next = beam.flatMap((path) => extend(path, current, lists.byStart[current]!));
    paths = next.length > 0 ? next : [beam[0]!];
  }
  paths.sort(comparePaths);
  const finished = paths.slice(0, BEAM_SIZE);
  for (const path of finished) if (path.lastTestEnd !== -1) path.chunks++;
  return finished.sort(comparePaths)[0] as Path;
}

function countChunks(matches: ReadonlyArray<Match | null>): number {
  let chunks = 0;
  let lastEnd = -1;
  for (let at = 0; at < matches.length; ) {
    const match = matches[at];
    if (!match) {
      if (lastEnd !== -1) chunks++;
      lastEnd = -1;
      at++;
      continue;
    }
    if (lastEnd !== -1 && match.testStart !== lastEnd) chunks++;
    at = match.start + match.length;
    lastEnd = match.testStart + match.testLength;
  }
  return lastEnd === -1 ? chunks : chunks + 1;
}

const numTrue = (flags: readonly boolean[]): number => flags.filter(Boolean).length;

/** Aligns a test text with one reference. */
export function align(test: MeteorText, reference: MeteorText, tables: MeteorTables): AlignmentCounts {
  const { matches } = searchBest(listMatches(test, reference, tables));
  const zeros = (): number[] => new Array<number>(NUM_MODULES).fill(0);
  const counts = { testContent: zeros(), referenceContent: zeros(), testFunction: zeros(), referenceFunction: zeros() };
  const tally = (bins: number[], module: number): void => {
    bins[module] = bins[module]! + 1;
  };
  for (const match of matches) {
    if (!match) continue;
    for (let k = 0; k < match.testLength; k++) {
      tally(test.isFunction[match.testStart + k] ? counts.testFunction : counts.testContent, match.module);
    }
    for (let k = 0; k < match.length; k++) {
      tally(reference.isFunction[match.start + k] ? counts.referenceFunction : counts.referenceContent, match.module);
    }
  }
  return {
    testLength: test.words.length,
    referenceLength: reference.words.length,
    testFunctionWords: numTrue(test.isFunction),
    referenceFunctionWords: numTrue(reference.isFunction),
    ...counts,
    chunks: countChunks(matches),
  };
}
