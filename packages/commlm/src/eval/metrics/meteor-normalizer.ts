/**
 * The text normaliser of METEOR 1.5 for English: the Moses tokenizer with quotes and dashes unified, dashes inside words
 * opened and dots inside abbreviations dropped. The patterns see code points and ASCII digits, as the Java ones do.
 */

/** Letters of the western European and Cyrillic ranges that the normaliser knows. */
const ALPHA = 'A-Za-zŠŽšžŸÀ-ÖØ-öø-žЀ-ӿԀ-ԧꙀ-ꙮ꙾-ꚗᴀ-ᵿ';
const ALNUM = `0-9${ALPHA}`;
const JAVA_SPACE = ' \\t\\n\\x0b\\f\\r';

/** A replacement of every match, in order. */
type Rewrite = readonly [pattern: RegExp, replacement: string];

const SEPARATE_SIGNS: Rewrite = [new RegExp(`([^${ALNUM}${JAVA_SPACE}.'\`,\\-‘’])`, 'gu'), ' $1 '];

const PUNCTUATION: readonly Rewrite[] = [
  [/([^0-9]),([^0-9])/gu, '$1 , $2'],
  [/([0-9]),([^0-9])/gu, '$1 , $2'],
  [/([^0-9]),([0-9])/gu, '$1 , $2'],
  [/[`‘’]/gu, "'"],
  [/[“”]|''/gu, ' " '],
  [/–/gu, '-'],
  [/--/gu, '-'],
  [new RegExp(`([${ALNUM}.])-([${ALNUM}])`, 'gu'), '$1 $2'],
  [new RegExp(`([^${ALPHA}])'([^${ALPHA}])`, 'gu'), "$1 ' $2"],
  [new RegExp(`([^${ALPHA}0-9])'([${ALPHA}])`, 'gu'), "$1 ' $2"],
  [new RegExp(`([${ALPHA}])'([^${ALPHA}])`, 'gu'), "$1 ' $2"],
  [new RegExp(`([${ALPHA}])'([${ALPHA}])`, 'gu'), "$1 '$2"],
  [/([0-9])'(s)/gu, "$1 '$2"],
];

const HAS_LETTER = new RegExp(`[${ALPHA}]`, 'u');
const SPACES = /[ \u2000-\u200a\u202f\u205f\u3000\u00a0]+/gu;

/** Words whose final dot does not end a sentence: single capitals, titles and a few more. */
const ABBREVIATIONS: ReadonlySet<string> = new Set(
  [
    ...'ABCDEFGHIJKLMNOPQRSTUVWXYZ',
    'Adj Adm Adv Asst Bart Bldg Brig Bros Capt Cmdr Col Comdr Con Corp Cpl DR Dr Drs Ens Gen Gov Hon Hr Hosp Insp Lt',
    'MM MR MRS MS Maj Messrs Mlle Mme Mr Mrs Ms Msgr Op Ord Pfc Ph Prof Pvt Rep Reps Res Rev Rt Sen Sens Sfc Sgt Sr St',
    'Supt Surg v vs i.e rev e.g Nos Nr',
  ]
    .join(' ')
    .split(' '),
);

/** Abbreviations only before a number. */
const NUMBER_ABBREVIATIONS: ReadonlySet<string> = new Set(['No', 'Art', 'pp']);

/** Marks that stand for dots which must not be split; the very words METEOR uses, as a text may hold them. */
const DOT_RUN = 'DOTMULTI';
const DOT_DOT = 'DOTDOTMULTI';

function hideDotRuns(text: string): string {
  let line = text.replace(/\.(\.+)/g, ` ${DOT_RUN}$1`);
  while (line.includes(`${DOT_RUN}.`)) {
    line = line.replace(/DOTMULTI\.([^.])/gu, `${DOT_DOT} $1`).replaceAll(`${DOT_RUN}.`, DOT_DOT);
  }
  return line;
}

function showDotRuns(text: string): string {
  let line = text;
  while (line.includes(DOT_DOT)) line = line.replaceAll(DOT_DOT, `${DOT_RUN}.`);
  return line.replaceAll(DOT_RUN, '.');
}

/** Words as Java's StringTokenizer splits them. */
export function splitTokens(text: string): string[] {
  return text.split(/[ \t\n\r\f]+/).filter((word) => word !== '');
}

function splitFinalDot(word: string, next: string | undefined): string {
  if (word.length < 2 || !word.endsWith('.')) return word;
  const stem = word.slice(0, -1);
  if (stem.includes('.') && HAS_LETTER.test(stem)) return word.replaceAll('.', '');
  const isKept =
    ABBREVIATIONS.has(stem) ||
    (next !== undefined && /^[a-z]/.test(next)) ||
    (NUMBER_ABBREVIATIONS.has(stem) && next !== undefined && /^[0-9]/.test(next));
  return isKept ? word : `${stem} .`;
}

/** The words of a text as METEOR compares them: normalised and in lower case. */
export function normalizeForMeteor(text: string): string[] {
  let line = ` ${text} `.replace(...SEPARATE_SIGNS);
  line = hideDotRuns(line);
  for (const [pattern, replacement] of PUNCTUATION) line = line.replace(pattern, replacement);
  const words = splitTokens(line);
  line = words.map((word, i) => splitFinalDot(word, words[i + 1])).join(' ');
  return splitTokens(showDotRuns(line).replace(SPACES, ' ').toLowerCase());
}
