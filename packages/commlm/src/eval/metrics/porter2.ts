/** The English stemmer of the Snowball project (Porter 2), as METEOR uses it. */

const VOWELS = 'aeiouy';
const DOUBLES: ReadonlySet<string> = new Set(['bb', 'dd', 'ff', 'gg', 'mm', 'nn', 'pp', 'rr', 'tt']);
/** Letters before which `li` is a suffix. */
const LI_ENDING = 'cdeghkmnrt';

/** Words with a stem of their own, and words that stay as they are. */
const IRREGULAR: ReadonlyMap<string, string> = new Map([
  ['skis', 'ski'],
  ['skies', 'sky'],
  ['dying', 'die'],
  ['lying', 'lie'],
  ['tying', 'tie'],
  ['idly', 'idl'],
  ['gently', 'gentl'],
  ['ugly', 'ugli'],
  ['early', 'earli'],
  ['only', 'onli'],
  ['singly', 'singl'],
  ...['sky', 'news', 'howe', 'atlas', 'cosmos', 'bias', 'andes'].map((word) => [word, word] as const),
]);

/** Words that are finished once their plural ending is off. */
const FINISHED: ReadonlySet<string> = new Set(
  'inning outing canning herring earring proceed exceed succeed'.split(' '),
);

type Suffixes = ReadonlyArray<readonly [suffix: string, replacement: string]>;

/** Longest suffixes first, as the longest one decides even if it then does not apply. */
function longestFirst(suffixes: Suffixes): Suffixes {
  return [...suffixes].sort((a, b) => b[0].length - a[0].length);
}

function replacing(replacement: string, suffixes: string): Suffixes {
  return suffixes.split(' ').map((suffix) => [suffix, replacement] as const);
}

const STEP_2 = longestFirst([
  ['tional', 'tion'],
  ['enci', 'ence'],
  ['anci', 'ance'],
  ['abli', 'able'],
  ['entli', 'ent'],
  ...replacing('ize', 'izer ization'),
  ...replacing('ate', 'ational ation ator'),
  ...replacing('al', 'alism aliti alli'),
  ...replacing('ful', 'fulness fulli'),
  ...replacing('ous', 'ousli ousness'),
  ...replacing('ive', 'iveness iviti'),
  ...replacing('ble', 'biliti bli'),
  ['lessli', 'less'],
  ['ogi', 'og'],
  ['li', ''],
]);

const STEP_3 = longestFirst([
  ['tional', 'tion'],
  ['ational', 'ate'],
  ['alize', 'al'],
  ...replacing('ic', 'icate iciti ical'),
  ...replacing('', 'ful ness ative'),
]);

const STEP_4 = longestFirst(
  replacing('', 'al ance ence er ic able ible ant ement ment ent ism ate iti ous ive ize ion'),
);

const isVowel = (char: string | undefined): boolean => char !== undefined && VOWELS.includes(char);

/** Position after the first non-vowel that follows a vowel at or after `from`. */
function regionAfter(word: string, from: number): number {
  let i = from;
  while (i < word.length && !isVowel(word[i])) i++;
  while (i < word.length && isVowel(word[i])) i++;
  return i < word.length ? i + 1 : word.length;
}

/** True when the word ends in a short syllable; `Y`, `w` and `x` cannot close one after a consonant. */
function endsInShortSyllable(word: string): boolean {
  const [before, middle, last] = [word.at(-3), word.at(-2), word.at(-1)];
  if (!isVowel(middle) || last === undefined || isVowel(last)) return false;
  if (before === undefined) return word.length === 2;
  return !isVowel(before) && !'wxY'.includes(last);
}

const hasVowel = (text: string): boolean => /[aeiouy]/.test(text);

/** Marks each `y` that is a consonant: at the start and after a vowel. */
function markConsonantY(word: string): string {
  let out = '';
  for (let i = 0; i < word.length; i++) {
    const char = word[i]!;
    out += char === 'y' && (i === 0 || isVowel(out[i - 1])) ? 'Y' : char;
  }
  return out;
}

function removePlural(word: string): string {
  if (word.endsWith('sses')) return word.slice(0, -2);
  if (word.endsWith('ied') || word.endsWith('ies')) return word.slice(0, word.length > 4 ? -2 : -1);
  if (word.endsWith('us') || word.endsWith('ss') || !word.endsWith('s')) return word;
  return hasVowel(word.slice(0, -2)) ? word.slice(0, -1) : word;
}

function removePastAndGerund(word: string, region1: number): string {
  const suffix = ['eedly', 'ingly', 'edly', 'eed', 'ing', 'ed'].find((ending) => word.endsWith(ending));
  if (suffix === undefined) return word;
  const stem = word.slice(0, -suffix.length);
  if (suffix.startsWith('eed')) return stem.length >= region1 ? `${stem}ee` : word;
  if (!hasVowel(stem)) return word;
  if (/(?:at|bl|iz)$/.test(stem)) return `${stem}e`;
  if (DOUBLES.has(stem.slice(-2))) return stem.slice(0, -1);
  return stem.length === region1 && endsInShortSyllable(stem) ? `${stem}e` : stem;
}

function replaceSuffix(
  word: string,
  suffixes: Suffixes,
  region: number,
  applies: (suffix: string, stem: string) => boolean,
): string {
  const found = suffixes.find(([suffix]) => word.endsWith(suffix));
  if (found === undefined) return word;
  const [suffix, replacement] = found;
  const stem = word.slice(0, -suffix.length);
  return stem.length >= region && applies(suffix, stem) ? stem + replacement : word;
}

function removeFinalLetter(word: string, region1: number, region2: number): string {
  const stem = word.slice(0, -1);
  if (word.endsWith('e')) {
    return stem.length >= region2 || (stem.length >= region1 && !endsInShortSyllable(stem)) ? stem : word;
  }
  return word.endsWith('ll') && stem.length >= region2 ? stem : word;
}

/** Stem of a lower-case English word. */
export function stemEnglish(word: string): string {
  const irregular = IRREGULAR.get(word);
  if (irregular !== undefined) return irregular;
  if (word.length < 3) return word;
  let stem = markConsonantY(word.startsWith("'") ? word.slice(1) : word);
  const prefix = /^(?:gener|commun|arsen)/.exec(stem)?.[0].length;
  const region1 = prefix ?? regionAfter(stem, 0);
  const region2 = regionAfter(stem, region1);
  stem = removePlural(stem.replace(/'(?:s'?)?$/, ''));
  if (FINISHED.has(stem)) return stem;
  stem = removePastAndGerund(stem, region1);
  if (stem.length > 2 && /[yY]$/.test(stem) && !isVowel(stem.at(-2))) stem = `${stem.slice(0, -1)}i`;
  stem = replaceSuffix(stem, STEP_2, region1, (suffix, rest) => {
    if (suffix === 'ogi') return rest.endsWith('l');
    return suffix !== 'li' || LI_ENDING.includes(rest.at(-1) ?? ' ');
  });
  stem = replaceSuffix(stem, STEP_3, region1, (suffix, rest) => suffix !== 'ative' || rest.length >= region2);
  stem = replaceSuffix(stem, STEP_4, region2, (suffix, rest) => suffix !== 'ion' || /[st]$/.test(rest));
  return removeFinalLetter(stem, region1, region2).replaceAll('Y', 'y');
}
