/**
 * VQA accuracy (VQAv2, OK-VQA, TextVQA): agreement with ten humans, each left out once, after the text clean-up of the
 * official tool or of EvalAI. The oddities of both are kept, since figures in papers contain them.
 */
import { formatFixed } from '../../text/boxes.js';
import { splitWords, trim } from './python-text.js';

/**
 * Who cleans up the answers: `official` leaves both sides alone when all ten humans agree, `always` never does (as most
 * other tools), `evalai` does the extra steps of the EvalAI server first (TextVQA).
 */
export type VqaReader = 'official' | 'always' | 'evalai';

/** One question with its human answers. */
export interface VqaAnnotation<Id> {
  readonly id: Id;
  readonly answers: readonly string[];
  readonly answerType?: string | undefined;
  readonly questionType?: string | undefined;
}

/** Accuracies in percent, rounded to two decimals as the official tool does. */
export interface VqaScores<Id> {
  readonly accuracy: number;
  readonly accuracyByAnswerType: Readonly<Record<string, number>>;
  readonly accuracyByQuestionType: Readonly<Record<string, number>>;
  readonly perItem: ReadonlyArray<{ readonly id: Id; readonly accuracy: number; readonly normalized: string }>;
}

const PUNCTUATION = [...';/[]"{}()=+\\_-><@`,?!'];
const DIGIT_COMMA_DIGIT = /\p{Nd},\p{Nd}/u;
const FULL_STOP = /\.(?!\p{Nd})/gu;
/** The official tool passes a flag in the place of the number of replacements; its value is this. */
const MAX_FULL_STOPS = 32;
const ARTICLES: ReadonlySet<string> = new Set(['a', 'an', 'the']);
const NUMBER_WORDS: ReadonlyMap<string, string> = new Map([
  ['none', '0'],
  ...'zero one two three four five six seven eight nine ten'.split(' ').map((word, n) => [word, String(n)] as const),
]);

/** Forms that have their apostrophes put back; a key of the table is such a form with one apostrophe left out. */
const CONTRACTIONS = [
  "'ow's'at 'twas ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't",
  "he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't",
  "needn't not've o'clock oughtn't shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll",
  "somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd",
  "there'd've there're there's they'd they'd've they'll they're they've wasn't we'd've we've weren't what'll what're",
  "what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've",
  "wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're you've",
]
  .join(' ')
  .split(' ');

/** What the digit and article step puts in the place of a word. */
const CONTRACTION_OF: ReadonlyMap<string, string> = new Map([
  ["somebody'd", 'somebodyd'], // the one row of the table that is the wrong way round
  ...CONTRACTIONS.flatMap((form) =>
    [...form].flatMap((char, i) => (char === "'" ? [[form.slice(0, i) + form.slice(i + 1), form] as const] : [])),
  ),
]);

function unbreak(text: string): string {
  return trim(text.replace(/[\n\t]/g, ' '));
}

function cleanPunctuation(text: string): string {
  const hasGroupedDigits = DIGIT_COMMA_DIGIT.test(text);
  let out = text;
  for (const mark of PUNCTUATION) {
    if (!text.includes(mark)) continue;
    const isBesideBlank = text.includes(`${mark} `) || text.includes(` ${mark}`);
    out = out.replaceAll(mark, isBesideBlank || hasGroupedDigits ? '' : ' ');
  }
  let numRemoved = 0;
  return out.replace(FULL_STOP, (stop) => (numRemoved++ < MAX_FULL_STOPS ? '' : stop));
}

function cleanWords(text: string): string {
  return splitWords(text.toLowerCase())
    .map((word) => NUMBER_WORDS.get(word) ?? word)
    .filter((word) => !ARTICLES.has(word))
    .map((word) => CONTRACTION_OF.get(word) ?? word)
    .join(' ');
}

/** An answer after the punctuation, number-word, article and contraction steps of the official tool. */
export function normalizeVqaAnswer(answer: string): string {
  return cleanWords(cleanPunctuation(unbreak(answer)));
}

/** An answer as the EvalAI server reads it. */
export function normalizeEvalAiAnswer(answer: string): string {
  const lower = answer.toLowerCase().replace(/[,?]/g, '').replaceAll("'s", " 's");
  return normalizeVqaAnswer(trim(lower));
}

/** Mean over the humans of min(1, agreeing others / 3), summed in their order. */
function leaveOneOutAccuracy(humans: readonly string[], answer: string): number {
  let numAgreeing = 0;
  for (const human of humans) if (human === answer) numAgreeing++;
  if (numAgreeing === 0) return 0;
  let sum = 0;
  for (const human of humans) sum += Math.min(1, (human === answer ? numAgreeing - 1 : numAgreeing) / 3);
  return sum / humans.length;
}

function percent(sum: number, count: number): number {
  return Number(formatFixed((100 * sum) / count, 2));
}

class GroupedMean {
  private readonly sums = new Map<string, { sum: number; count: number }>();

  add(group: string | undefined, value: number): void {
    if (group === undefined) return;
    const entry = this.sums.get(group) ?? { sum: 0, count: 0 };
    entry.sum += value;
    entry.count++;
    this.sums.set(group, entry);
  }

  percents(): Record<string, number> {
    return Object.fromEntries([...this.sums].map(([group, { sum, count }]) => [group, percent(sum, count)]));
  }
}

/** Scores one answer per question. @throws RangeError when a question has no answer or no humans. */
export function scoreVqa<Id>(
  annotations: ReadonlyArray<VqaAnnotation<Id>>,
  answers: ReadonlyMap<Id, string>,
  options: { readonly reader?: VqaReader } = {},
): VqaScores<Id> {
  const reader = options.reader ?? 'official';
  const normalize = memoize(reader === 'evalai' ? normalizeEvalAiAnswer : normalizeVqaAnswer);
  const strip = memoize(unbreak);
  const byAnswerType = new GroupedMean();
  const byQuestionType = new GroupedMean();
  let sum = 0;
  const perItem = annotations.map(({ id, answers: humans, answerType, questionType }) => {
    const answer = answers.get(id);
    if (answer === undefined) throw new RangeError(`Question ${String(id)} has no answer.`);
    if (humans.length === 0) throw new RangeError(`Question ${String(id)} has no human answers.`);
    const stripped = humans.map(strip);
    const isUnanimous = reader === 'official' && stripped.every((human) => human === stripped[0]);
    const normalized = isUnanimous ? strip(answer) : normalize(answer);
    const accuracy = leaveOneOutAccuracy(isUnanimous ? stripped : humans.map(normalize), normalized);
    sum += accuracy;
    byAnswerType.add(answerType, accuracy);
    byQuestionType.add(questionType, accuracy);
    return { id, accuracy: percent(accuracy, 1), normalized };
  });
  return {
    accuracy: percent(sum, perItem.length),
    accuracyByAnswerType: byAnswerType.percents(),
    accuracyByQuestionType: byQuestionType.percents(),
    perItem,
  };
}

function memoize(normalize: (text: string) => string): (text: string) => string {
  const known = new Map<string, string>();
  return (text) => {
    let value = known.get(text);
    if (value === undefined) {
      value = normalize(text);
      known.set(text, value);
    }
    return value;
  };
}
