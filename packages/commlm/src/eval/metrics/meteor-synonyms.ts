/** WordNet synonym sets in the files of the METEOR release, with WordNet's rules for base forms. */
import type { SynonymTable } from './meteor-aligner.js';

const EMPTY: ReadonlySet<number> = new Set();

/** Endings and what a base form has in their place: nouns, then verbs, then adjectives, as WordNet 3 lists them. */
const BASE_ENDINGS: ReadonlyArray<readonly [ending: string, base: string]> = [
  ['s', ''],
  ['ses', 's'],
  ['xes', 'x'],
  ['zes', 'z'],
  ['ches', 'ch'],
  ['shes', 'sh'],
  ['men', 'man'],
  ['ies', 'y'],
  ['s', ''],
  ['ies', 'y'],
  ['es', 'e'],
  ['es', ''],
  ['ed', 'e'],
  ['ed', ''],
  ['ing', 'e'],
  ['ing', ''],
  ['er', ''],
  ['est', ''],
  ['er', 'e'],
  ['est', 'e'],
];

/** Calls back for each pair of lines of a text file. */
function forEachPair(text: string, use: (first: string, second: string) => void): void {
  const lines = text.split('\n');
  for (let i = 0; i + 1 < lines.length; i += 2) use(lines[i]!, lines[i + 1]!);
}

/** Synonym sets by word. */
export class WordNetSynonyms implements SynonymTable {
  private readonly sets = new Map<string, readonly number[]>();
  private readonly bases = new Map<string, string[]>();
  private readonly known = new Map<string, ReadonlySet<number>>();

  /**
   * @param synsets pairs of lines: a word, and the numbers of its sets
   * @param exceptions pairs of lines: a base form, and its irregular forms
   */
  constructor(synsets: string, exceptions: string) {
    forEachPair(synsets, (word, numbers) => {
      this.sets.set(word, numbers.split(' ').map(Number));
    });
    forEachPair(exceptions, (base, forms) => {
      for (const form of forms.split(' ')) {
        const bases = this.bases.get(form);
        if (bases === undefined) this.bases.set(form, [base]);
        else bases.push(base);
      }
    });
  }

  /** Number of words with synonym sets. */
  get numWords(): number {
    return this.sets.size;
  }

  setsOf(word: string): ReadonlySet<number> {
    let sets = this.known.get(word);
    if (sets === undefined) {
      const bases = this.bases.get(word) ?? [this.baseForm(word)];
      const numbers = [word, ...bases].flatMap((form) => this.sets.get(form) ?? []);
      sets = numbers.length === 0 ? EMPTY : new Set(numbers);
      this.known.set(word, sets);
    }
    return sets;
  }

  /** The first base form that WordNet knows, else a text without sets. */
  private baseForm(word: string): string {
    if (word.endsWith('ss') || word.length <= 2) return word;
    for (const [ending, base] of BASE_ENDINGS) {
      if (!word.endsWith(ending)) continue;
      const form = word.slice(0, -ending.length) + base;
      if (this.sets.has(form)) return form;
    }
    return '';
  }
}
