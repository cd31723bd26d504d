/**
 * Penn Treebank tokenisation as the caption metrics use it: the token classes of CoreNLP 3.4.1 with its default
 * normalisation, lower-casing and the removal of punctuation tokens done by the COCO caption tools.
 *
 * Captions are scanned as lines of one text, as those tools do: whether a caption that ends in `vitamin A.` keeps its dot
 * depends on the first word of the caption after it.
 */
import { CAPITALS, DIGITS, LETTERS } from './ptb-characters.js';
import { trimEnd } from './python-text.js';
import { charSet, Scanner, type ScannerRule } from './scanner.js';

/** What a matched text becomes: a token, or nothing; `giveBack` units return to the input first. */
interface Action {
  readonly token: (matched: string) => string | null;
  readonly giveBack?: (matched: string) => number;
}

const raw = String.raw;

const asIs: Action = { token: (text) => text };
const dropped: Action = { token: () => null };
const withoutSoftHyphens: Action = { token: removeSoftHyphens };
const closingQuote: Action = { token: (text) => normalizeQuotes(text, false) };
const openingQuote: Action = { token: (text) => normalizeQuotes(text, true) };
const decodedAmpersand: Action = { token: (text) => text.replace(/&amp;/gi, '&') };
const joinedByNoBreakSpace: Action = { token: (text) => text.replaceAll(' ', '\u00a0') };
const namedRoundBrackets: Action = { token: nameRoundBrackets };

function constant(token: string): Action {
  return { token: () => token };
}

/** The token without its last `count` units, which are read again. */
function splitBefore(count: number): Action {
  return { token: (text) => text.slice(0, -count), giveBack: () => count };
}

/** An abbreviation that also ends a sentence: its dot is kept and read again. */
const abbreviationAtSentenceEnd: Action = { token: (text) => text, giveBack: () => 1 };

/** A single letter before a new sentence loses its dot, a longer acronym keeps it; the dot is read again. */
const acronymAtSentenceEnd: Action = {
  token: (text) => (text.length === 2 ? text.slice(0, 1) : text),
  giveBack: () => 1,
};

function removeSoftHyphens(text: string): string {
  return text.includes('\u00ad') ? text.replaceAll('\u00ad', '') || '-' : text;
}

function nameRoundBrackets(text: string): string {
  return text.replaceAll('(', '-LRB-').replaceAll(')', '-RRB-');
}

/** Quote marks in the style of the treebank: two grave accents or apostrophes for double quotes. */
function normalizeQuotes(text: string, isOpening: boolean): string {
  return text
    .replace(/&apos;|'/g, isOpening ? '`' : "'")
    .replace(/"|&quot;/g, isOpening ? '``' : "''")
    .replace(/[\u0091\u2018\u201b\u2039]/g, '`')
    .replace(/[\u0092\u2019\u203a]/g, "'")
    .replace(/[\u0093\u201c\u00ab]/g, '``')
    .replace(/[\u0094\u201d\u00bb]/g, "''");
}

const FRACTIONS: ReadonlyMap<string, string> = new Map([
  ['\u00bc', '1/4'],
  ['\u00bd', '1/2'],
  ['\u00be', '3/4'],
  ['\u2153', '1/3'],
  ['\u2154', '2/3'],
]);

const CURRENCIES: ReadonlyMap<string, string> = new Map([
  ['\u00a2', 'cents'],
  ['\u00a3', '#'],
  ['\u0080', '$'],
  ['\u00a4', '$'],
  ['\u20a0', '$'],
  ['\u20ac', '$'],
]);

function mapped(table: ReadonlyMap<string, string>): Action {
  return { token: (text) => table.get(text) ?? text };
}

/** Marks and modifiers that count as parts of a word, beside the letters. */
const WORD_MARKS = charSet([
  [0xad, 0xad],
  [0x237, 0x24f],
  [0x2c2, 0x2c5],
  [0x2d2, 0x2df],
  [0x2e5, 0x37d],
  [0x384, 0x385],
  [0x3cf, 0x3cf],
  [0x3f6, 0x3f6],
  [0x3fc, 0x3ff],
  [0x483, 0x487],
  [0x4cf, 0x4cf],
  [0x4f6, 0x4ff],
  [0x510, 0x525],
  [0x55a, 0x55f],
  [0x591, 0x5bd],
  [0x5bf, 0x5bf],
  [0x5c1, 0x5c2],
  [0x5c4, 0x5c5],
  [0x5c7, 0x5c7],
  [0x615, 0x61a],
  [0x63b, 0x63f],
  [0x64b, 0x65e],
  [0x670, 0x670],
  [0x6d6, 0x6ef],
  [0x6fa, 0x6ff],
  [0x70f, 0x70f],
  [0x711, 0x711],
  [0x730, 0x77f],
  [0x7a6, 0x7b1],
  [0x7ca, 0x7f5],
  [0x7fa, 0x7fa],
  [0x900, 0x903],
  [0x93c, 0x93c],
  [0x93e, 0x94e],
  [0x951, 0x955],
  [0x962, 0x963],
  [0x981, 0x983],
  [0x9bc, 0x9c4],
  [0x9c7, 0x9c8],
  [0x9cb, 0x9cd],
  [0x9d7, 0x9d7],
  [0x9e2, 0x9e3],
  [0xa01, 0xa03],
  [0xa3c, 0xa3c],
  [0xa3e, 0xa4f],
  [0xa81, 0xa83],
  [0xabc, 0xacf],
  [0xb82, 0xb82],
  [0xbbe, 0xbc2],
  [0xbc6, 0xbc8],
  [0xbca, 0xbcd],
  [0xc01, 0xc03],
  [0xc3e, 0xc56],
  [0xd3e, 0xd44],
  [0xd46, 0xd48],
  [0xe30, 0xe3a],
  [0xe47, 0xe4e],
  [0xeb1, 0xebc],
  [0xec8, 0xecd],
]);

/** Signs that stand alone as one token. */
const SIGNS = charSet([
  [0x25, 0x26],
  [0x2b, 0x2b],
  [0x5c, 0x5c],
  [0x5e, 0x5e],
  [0x7c, 0x7c],
  [0x7e, 0x7e],
  [0xa6, 0xa9],
  [0xac, 0xac],
  [0xae, 0xba],
  [0xd7, 0xd7],
  [0xf7, 0xf7],
  [0x387, 0x387],
  [0x5be, 0x5be],
  [0x5c0, 0x5c0],
  [0x5c3, 0x5c3],
  [0x5c6, 0x5c6],
  [0x5f3, 0x5f4],
  [0x600, 0x603],
  [0x606, 0x60a],
  [0x60c, 0x60c],
  [0x614, 0x614],
  [0x61b, 0x61b],
  [0x61e, 0x61e],
  [0x66a, 0x66a],
  [0x66d, 0x66d],
  [0x703, 0x70d],
  [0x7f6, 0x7f8],
  [0x964, 0x965],
  [0xe4f, 0xe4f],
  [0x1fbd, 0x1fbd],
  [0x2016, 0x2017],
  [0x2020, 0x2023],
  [0x2030, 0x2038],
  [0x203b, 0x203b],
  [0x203e, 0x2042],
  [0x2044, 0x2044],
  [0x207a, 0x207f],
  [0x208a, 0x208e],
  [0x2100, 0x214f],
  [0x2190, 0x2bff],
  [0x3012, 0x3012],
  [0x30fb, 0x30fb],
  [0xff01, 0xff0f],
  [0xff1a, 0xff20],
  [0xff3b, 0xff40],
  [0xff5b, 0xff65],
]);

/** Everything but the line ends; what no other rule takes is deleted. */
const NOT_LINE_END = charSet([
  [0, 9],
  [0xe, 0x84],
  [0x86, 0x2027],
  [0x202a, 0xffff],
]);

/** Named parts of the rules. In classes case counts, elsewhere it does not. */
const DEFINITIONS: ReadonlyArray<readonly [string, string | readonly number[]]> = [
  ['letter', LETTERS],
  ['digit', DIGITS],
  ['capital', CAPITALS],
  ['mark', WORD_MARKS],
  ['sign', SIGNS],
  ['any', charSet([[0, 0xffff]])],
  ['other', NOT_LINE_END],

  ['blank', '[ \t\u00a0\u2000-\u200a\u3000]'],
  ['lineEnd', '\r|\r?\n|[\u2028\u2029\u000b\u000c\u0085]'],
  ['space', '({blank}|{lineEnd})'],

  // Markup: an opening or closing tag or a declaration, within one line.
  ['tagName', '[A-Za-z][A-Za-z0-9_:.\\-]*'],
  ['attribute', `{tagName}|{tagName}[ ]*=[ ]*('[^'\n]*'|"[^"\n]*")`],
  ['markup', '<([!?][A-Za-z\\-][^>\r\n]*|{tagName}([ ]+({attribute}))*[ ]*/?|/{tagName})[ ]*>'],

  ['apostrophe', "(['\u0092\u2019]|&apos;)"],
  ['innerQuote', '({apostrophe}|[`\u0091\u2018\u201b])'],
  ['hyphen', '[\\-_\u058a\u2010\u2011]'],
  ['innerMark', '[,;:\u3001]'],

  // Words.
  ['wordLetter', '({letter}|{mark}|&[aeiouAEIOU](acute|grave|uml);)'],
  ['wordPart', '{wordLetter}({wordLetter}|{digit})*'],
  ['word', '{wordPart}([.!?]{wordPart})*'],
  ['notStem', '[A-Za-z\u00ad]*[A-MO-Za-mo-z]\u00ad*'],
  ['notClitic', 'n{innerQuote}t'],
  ['clitic', '{apostrophe}([msdMSD]|re|ve|ll)'],
  [
    'apostropheWord',
    [
      '{apostrophe}n{apostrophe}?',
      '[lLdDjJ]{apostrophe}',
      '(dunkin|somethin|ol){apostrophe}',
      '{apostrophe}(em|till?|cause|[2-9]0s)',
      '[A-HJ-XZn]{innerQuote}{letter}{2}{letter}*',
      '{letter}{letter}*[aeiouyAEIOUY]{innerQuote}[aeiouA-Z]{letter}*',
      "cont'd\\.?|'twas|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l",
      'o{innerQuote}o',
    ].join('|'),
  ],
  ['elision', '([dDoOlL]{innerQuote}({letter}|{digit}))?'],
  ['compound', '{elision}({letter}|{digit})+({hyphen}{elision}({letter}|{digit})+)*'],
  ['joinedCapitals', '[A-Z]+(([+&]|&amp;)[A-Z]+)+'],
  ['slashPart', '[A-Za-z0-9]+(-[A-Za-z]+){0,2}'],
  ['slashed', '{slashPart}(\\\\?/{slashPart}){1,2}'],
  ['special', '-(l|r)(r|c|s)b-|c\\.d\\.s|(pro|anti)-|s(&|&amp;)(p-500|ls)|cap{apostrophe}n|c{apostrophe}est'],

  // Numbers.
  ['plainNumber', '{digit}+|{digit}*([.:,\u00ad\u066b\u066c]{digit}+)+'],
  ['number', '[\\-+]?({plainNumber})'],
  ['smallNumber', '[\u207a\u207b\u208a\u208b]?([\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+|[\u2080-\u2089]+)'],
  ['date', '{digit}{1,2}[\\-/]{digit}{1,2}[\\-/]{digit}{2,4}'],
  ['fraction', '({digit}{1,4}[\\- \u00a0])?{digit}{1,4}(\\\\?/|\u2044){digit}{1,4}'],
  ['gap', '[\\- \u00a0]'],
  [
    'phone',
    [
      '(\\([0-9]{2,3}\\)[ \u00a0]?|(\\+\\+?)?([0-9]{2,4}{gap})?[0-9]{2,4}{gap})[0-9]{3,4}{gap}?[0-9]{3,5}',
      '((\\+\\+?)?[0-9]{2,4}\\.)?[0-9]{2,4}\\.[0-9]{3,4}\\.[0-9]{3,5}',
    ].join('|'),
  ],
  ['currency', '[\u00a2-\u00a5\u0080\u20a0\u20ac\u060b\u0e3f\u20a4\uffe0\uffe1\uffe5\uffe6]'],

  // Addresses and files.
  ['fullUrl', 'https?://[^ \t\n\f\r"<>|(){}]+[^ \t\n\f\r"<>|.!?(){},\\-]'],
  ['urlTail', '(/[^ \t\n\f\r"<>|()]+[^ \t\n\f\r"<>|.!?(){},\\-])?'],
  [
    'likelyUrl',
    '(www\\.([^ \t\n\f\r"<>|.!?(){},]+\\.)+[a-zA-Z]{2,4}|([^ \t\n\f\r"`\'<>|.!?(){},-_$]+\\.)+(com|net|org|edu)){urlTail}',
  ],
  ['mailHost', '[^ \t\n\f\r"<>|(){}.\u00a0]+'],
  ['mail', '(&lt;|<)?[a-zA-Z0-9][^ \t\n\f\r"<>|()\u00a0{}]*@({mailHost}\\.)*{mailHost}(&gt;|>)?'],
  ['handle', '@[a-zA-Z_][a-zA-Z_0-9]*|#{wordLetter}+'],
  ['extensionA', 'bat|bmp|c|class|cgi|cpp|dll|docx?|exe|gif|gz|h|html?|jar|java|jpe?g|mov|mp3'],
  ['extensionB', 'pdf|php|pl|png|ppt|ps|py|sql|tar|txt|wav|x|xml|zip'],
  ['fileName', '({wordLetter}|{digit})+(\\.({wordLetter}|{digit})+)*\\.({extensionA}|{extensionB})'],

  // Abbreviations. A class around the first letter makes a common word count only when it is capitalised.
  ['months', 'jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec'],
  ['days', 'mon|tues?|wed|thu|thurs|fri'],
  ['statesA', 'ala|ariz|[A]z|[A]rk|calif|colo|conn|ct|dak|[D]el|fla|ga|[I]ll|ind|kans?|ky|[L]a|[M]ass|md|mich'],
  ['statesB', 'minn|[M]iss|mo|mont|neb|nev|okla|[O]re|[P]a|penn|tenn|[T]ex|va|vt|[W]ash|wisc?|wyo'],
  ['companies', 'inc|cos?|corp|pp?t[ye]s?|ltd|plc|rt|bancorp|bhd|assn|univ|intl|sys'],
  ['suffixes', 'jr|sr|bros|(ed|ph)\\.d|blvd|rd|esq'],
  [
    'endingAbbreviation',
    '({months}|{days}|{statesA}|{statesB}|{companies}|{suffixes}|tel|est|ext|sq|etc|al|seq|bldg)\\.',
  ],
  ['nations', '(canada|sino|korean|eu|japan|non)-u\\.s|u\\.s\\.-(u\\.k|u\\.s\\.s\\.r)'],
  ['acronym', '([A-Za-z](\\.[A-Za-z])*|{nations})'],
  ['longAcronym', '([A-Za-z](\\.[A-Za-z])+|{nations})'],
  ['titlesA', 'mr|mrs|ms|[M]iss|drs?|profs?|sens?|reps?|attys?|lt|col|gen|messrs|govs?|adm|rev|maj|sgt|cpl|pvt'],
  ['titlesB', 'capt|ste?|ave|pres|lieut|hon|brig|co?mdr|pfc|spc|supts?|det|mt|ft|adj|adv|asst|assoc|ens|insp'],
  ['titlesC', 'mlle|mme|msgr|sfc'],
  [
    'leadingAbbreviation',
    '({titlesA}|{titlesB}|{titlesC}|vs|alex|wm|jos|cie|a\\.k\\.a|cf|treas|ph|{acronym}|invt|elec|natl|m[ft]g|dept)',
  ],
  ['numberAbbreviation', '(ca|figs?|prop|nos?|art|bldg|pp|op)\\.'],
  [
    'sentenceStartA',
    '[A]bout|[A]ccording|[A]dditionally|[A]fter|[A]n|[A]|[A]s|[A]t|[B]ut|[E]arlier|[H]e|[H]er|[H]ere|[H]owever|[I]f',
  ],
  [
    'sentenceStartB',
    '[I]n|[I]t|[L]ast|[M]any|[M]ore|[M]r\\.|[M]s\\.|[N]ow|[O]nce|[O]ne|[O]ther|[O]ur|[S]he|[S]ince|[S]o|[S]ome|[S]uch',
  ],
  [
    'sentenceStartC',
    '[T]hat|[T]he|[T]heir|[T]hen|[T]here|[T]hese|[T]hey|[T]his|[W]e|[W]hen|[W]hile|[W]hat|[Y]et|[Y]ou|{markup}',
  ],
  ['hyphenated', '[A-Za-z0-9][A-Za-z0-9.,\u00ad]*(-([A-Za-z0-9\u00ad]+|{longAcronym}\\.))+'],

  // Faces.
  ['face', "[<>]?[:;=][\\-o*']?[()DPdpO\\\\{@|\\[\\]]"],
  [
    'asianFace',
    [
      '[\\^x=~<>]\\.\\[\\^x=[^<\n]*<>\\]', // what the published pattern means, not what it was meant to be
      "[\\-\\^x=~<>']_[\\-\\^x=~<>']",
      "\\([\\-\\^x=~<>'][_.]?[\\-\\^x=~<>']\\)",
      "\\([\\^x=~<>']-[\\^x=~<>'`]\\)",
    ].join('|'),
  ],
  ['curlyQuote', '[`\u2018\u2019\u201a\u201b\u201c\u201d\u0091-\u0094\u201e\u201f\u2039\u203a\u00ab\u00bb]'],
];

function rule(pattern: string, action: Action, context?: string): ScannerRule<Action> {
  return context === undefined ? { pattern, action } : { pattern, action, context };
}

/** Of matches of the same length the rule that comes first here wins. */
const RULES: ReadonlyArray<ScannerRule<Action>> = [
  rule('c\\+\\+|(c|f)#', asIs),
  rule("cannot|'twas", splitBefore(3)),
  rule("'tis|gonna|gotta|lemme|gimme|wanna", splitBefore(2)),
  rule('{markup}', joinedByNoBreakSpace),
  rule('&(md|mdash|ndash);|[\u0096\u0097\u2013\u2014\u2015]', constant('--')),
  rule('&amp;', decodedAmpersand),
  rule('&(ht|tl|ur|lr|qc|ql|qr|odq|cdq|#[0-9]+);', asIs),
  rule('{word}', withoutSoftHyphens, '{clitic}'),
  rule('{notStem}', withoutSoftHyphens, '{notClitic}'),
  rule('{word}', withoutSoftHyphens),
  rule('{apostropheWord}', asIs),
  rule('y{apostrophe}', asIs, '{letter}'),
  rule('{fullUrl}|{likelyUrl}|{mail}|{handle}', asIs),
  rule('{clitic}|{notClitic}', closingQuote, '[^A-Za-z]'),
  rule('{date}', asIs),
  rule('{number}', withoutSoftHyphens),
  rule('{smallNumber}', asIs),
  rule('{fraction}', joinedByNoBreakSpace),
  rule('[\u00bc-\u00be\u2153-\u215e]', mapped(FRACTIONS)),
  rule('{special}', decodedAmpersand),
  rule('{slashed}', asIs),
  rule('[A-Z]*\\$|#', asIs),
  rule('{currency}', mapped(CURRENCIES)),
  rule('{acronym}\\.', acronymAtSentenceEnd, '{space}+({sentenceStartA}|{sentenceStartB}|{sentenceStartC}){space}'),
  rule('{numberAbbreviation}', asIs, '{space}?{digit}'),
  rule('(pt[eyEY]|co)\\.', asIs, '{blank}(ltd|lim)'),
  rule('{endingAbbreviation}', abbreviationAtSentenceEnd, '{space}({space}|{capital}|{markup})'),
  rule('{endingAbbreviation}', asIs, '{any}{any}'),
  rule('{endingAbbreviation}', abbreviationAtSentenceEnd),
  rule('{leadingAbbreviation}\\.', asIs),
  rule('{leadingAbbreviation}', asIs, '{blank}'),
  rule('{acronym}', asIs, '{space}'),
  rule('{apostrophe}[0-9][0-9]', asIs, '{space}'),
  rule('{fileName}', asIs, '{space}|[.?!,]'),
  rule('{word}\\.', withoutSoftHyphens, '{innerMark}'),
  rule('{phone}', { token: (text) => nameRoundBrackets(text.replaceAll(' ', '\u00a0')) }),
  rule('"|&quot;', openingQuote, '[A-Za-z0-9$]'),
  rule('"|&quot;', closingQuote),
  rule('\u007f', dropped),
  rule('<|&lt;', constant('<')),
  rule('>|&gt;', constant('>')),
  rule('{face}', namedRoundBrackets, '[^A-Za-z0-9]'),
  rule('{asianFace}', namedRoundBrackets),
  rule('\\{', constant('-LCB-')),
  rule('\\}', constant('-RCB-')),
  rule('\\[', constant('-LSB-')),
  rule('\\]', constant('-RSB-')),
  rule('\\(', constant('-LRB-')),
  rule('\\)', constant('-RRB-')),
  rule('-+', { token: (text) => (text.length === 3 || text.length === 4 ? '--' : text) }),
  rule('\\.{3,5}|(\\.[ \u00a0]){2,4}\\.|[\u0085\u2026]', constant('...')),
  rule('@+|#+|_+', asIs),
  rule(raw`\*+|(\\\*){1,3}`, asIs),
  rule('{innerMark}', asIs),
  rule('[?!]+', asIs),
  rule('[.\u00a1\u00bf\u037e\u0589\u061f\u06d4\u0700-\u0702\u07fa\u3002]|=|/', asIs),
  rule('{hyphenated}\\.', withoutSoftHyphens, '{innerMark}'),
  rule('{hyphenated}', withoutSoftHyphens),
  rule('{compound}\\.', asIs, '{innerMark}'),
  rule('{compound}', asIs),
  rule('{joinedCapitals}\\.', decodedAmpersand, '{innerMark}'),
  rule('{joinedCapitals}', decodedAmpersand),
  rule("'", openingQuote, '[A-Za-z][^ \t\n\r\u00a0]'),
  rule("{clitic}|{notClitic}|{apostrophe}|''|{curlyQuote}{1,2}", closingQuote),
  rule('<<|>>|{sign}', asIs),
  rule('\u0000|{blank}+|[\u200b\u200e\u200f\ufeff]|&nbsp;|{lineEnd}', dropped),
  rule('{other}', dropped),
];

let scanner: Scanner<Action> | undefined;

/** The one scanner of the process; built when the first caption comes, its states are shared by all later ones. */
function ptbScanner(): Scanner<Action> {
  scanner ??= new Scanner(DEFINITIONS, RULES);
  return scanner;
}

/** Tokens that the caption tools remove; `-LRB-` and its kin stay, as they come in lower case. */
const REMOVED_TOKENS: ReadonlySet<string> = new Set([
  "''",
  "'",
  '``',
  '`',
  '.',
  '?',
  '!',
  ',',
  ':',
  '-',
  '--',
  '...',
  ';',
]);

/** Marks that would end the line inside the tokenizer and shift every caption after it. */
const LINE_BREAK = /[\n\r\v\f\u2028\u2029]/;

/**
 * Tokenises captions: each becomes its lower-case tokens joined by one blank, without punctuation tokens.
 *
 * @param captions in the order of the official tools, as a caption's end may depend on the start of the next.
 */
export function ptbTokenize(captions: readonly string[]): string[] {
  const lines = captions.map((caption) =>
    LINE_BREAK.test(caption) ? caption.replaceAll(new RegExp(LINE_BREAK, 'g'), ' ') : caption,
  );
  const text = lines.join('\n');
  const scan = ptbScanner();
  const out: string[] = [];
  let start = 0;
  for (const line of lines) {
    const end = start + line.length;
    out.push(cleanTokens(scanLine(scan, text, start, end)));
    start = end + 1;
  }
  return out;
}

function scanLine(scan: Scanner<Action>, text: string, start: number, end: number): string[] {
  const tokens: string[] = [];
  let at = start;
  while (at < end) {
    const match = scan.match(text, at);
    if (!match) {
      at++;
      continue;
    }
    const matched = text.slice(at, match.end);
    const token = match.action.token(matched);
    if (token !== null) tokens.push(token.toLowerCase());
    at = match.end - (match.action.giveBack?.(matched) ?? 0);
  }
  return tokens;
}

function cleanTokens(tokens: string[]): string {
  const last = tokens.length - 1;
  const end = tokens[last];
  if (end !== undefined) tokens[last] = trimEnd(end);
  return tokens.filter((token) => !REMOVED_TOKENS.has(token)).join(' ');
}
