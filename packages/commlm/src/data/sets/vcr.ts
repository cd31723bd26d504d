/**
 * VCR: questions, answers and reasons whose words point at numbered objects. A version says what is asked and told:
 * letters before the last hyphen are in the question (q question, a answer, r reason, c the choices of what follows),
 * letters behind it are the answer; `q-a-q-r` and `qc-a-qc-r` ask for the reason in a second turn.
 */
import { join } from 'node:path';
import type { DataSetOf } from '../../config/data-sets.js';
import { readJson } from '../../files/read.js';
import type { PixelBox } from '../../images/frames.js';
import { asBox, sizeOf } from '../boxes.js';
import { type Drafts, eachRecord, textField } from '../draft.js';
import { openJsonLines } from '../json-records.js';
import { refuseContent } from '../keys.js';
import { asList, asObject, dataPlace, type JsonObject, listField, type Place, WHAT } from '../place.js';
import type { Mark, SampleTurn, Size } from '../sample.js';
import { loadTemplates, type Templates } from '../templates.js';
import type { Random } from '../world/random.js';
import { sentence } from './vqa.js';

const LETTERS = ['A', 'B', 'C', 'D'] as const;

/** One sample for each line. */
export async function openVcr(config: DataSetOf<'vcr'>): Promise<Drafts> {
  const lines = openJsonLines(config.file);
  const reasonsFirst = config.version === 'q-ra' || config.version === 'qc-ra' || config.version === 'qc-rac';
  const templates = await loadTemplates(reasonsFirst ? 'vqa-bcot' : 'vqa', config.templates);
  return {
    ...eachRecord(lines, refuseContent(config.ignoreKeys), (line, place, random) => {
      const { boxes, size } = boxesOf(line, config.metadata, place);
      const parts = readParts(line, boxes, place);
      const turns = turnsOf(config.version, parts, templates, random);
      return { pictures: [{ name: textField(line, 'img_fn', place), size }], turns };
    }),
    pictures: (index) => [{ name: textField(lines.object(index), 'img_fn', lines.place(index)) }],
  };
}

interface ScoredBoxes {
  readonly boxes: readonly PixelBox[];
  readonly size: Size | undefined;
}

/** Boxes `x1, y1, x2, y2, score`: in the line, or in the file of the picture. */
function boxesOf(line: JsonObject, folder: string | undefined, place: Place): ScoredBoxes {
  if (line['boxes'] !== undefined) return scoredBoxes(line, place);
  if (folder === undefined) {
    throw place.error('the line has no "boxes".', 'Give the folder of the pictures\' JSON files as "metadata".');
  }
  const file = join(folder, textField(line, 'metadata_fn', place));
  const at = dataPlace(file);
  const metadata = asObject(readJson(file, { what: WHAT }), at);
  return scoredBoxes(metadata, at);
}

function scoredBoxes(object: JsonObject, place: Place): ScoredBoxes {
  const boxes = listField(object, 'boxes', place).map((box, i) => {
    const at = place.at(`boxes[${i}]`);
    return asBox(asList(box, at).slice(0, 4), 'corners', at);
  });
  return { boxes, size: sizeOf(object, place) };
}

/** Words with boxes. */
interface Phrase {
  readonly text: string;
  readonly marks: readonly Mark[];
}

interface Choices {
  readonly all: readonly Phrase[];
  readonly right: Phrase;
  readonly letter: string;
}

interface Parts {
  readonly question: Phrase;
  readonly answer: Choices;
  readonly reason: Choices;
}

function readParts(line: JsonObject, boxes: readonly PixelBox[], place: Place): Parts {
  const choices = (name: 'answer' | 'rationale'): Choices => {
    const all = listField(line, `${name}_choices`, place).map((tokens, i) =>
      readPhrase(tokens, boxes, place.at(`${name}_choices[${i}]`)),
    );
    const label = line[`${name}_label`];
    const right = typeof label === 'number' ? all[label] : undefined;
    const letter = typeof label === 'number' ? LETTERS[label] : undefined;
    if (right === undefined || letter === undefined) {
      throw place.error(
        `"${name}_label" is ${JSON.stringify(label)}, which is none of ${all.length} choices.`,
        'Use a labelled split: the labels of the test set are not published.',
      );
    }
    return { all, right, letter };
  };
  return {
    question: readPhrase(line['question'], boxes, place.at('question')),
    answer: choices('answer'),
    reason: choices('rationale'),
  };
}

/** Tokens are words, or lists of numbers of objects. */
function readPhrase(tokens: unknown, boxes: readonly PixelBox[], place: Place): Phrase {
  const marks: Mark[] = [];
  const words = asList(tokens, place).map((token) => {
    if (typeof token === 'string') return token;
    const group = asList(token, place).map((index) => {
      const box = typeof index === 'number' ? boxes[index] : undefined;
      if (box === undefined)
        throw place.error(`${JSON.stringify(index)} is none of ${boxes.length} objects.`, 'Use files of one split.');
      return box;
    });
    if (group.length === 0) throw place.error('a list of objects is empty.', 'Correct the record.');
    marks.push({ kind: 'boxes', picture: 0, boxes: group });
    return '<boxes>';
  });
  // Words come apart from their punctuation.
  return { text: words.join(' ').replace(/ +([?.,!;:]|n't\b|'s\b)/g, '$1'), marks };
}

function join2(...phrases: readonly Phrase[]): Phrase {
  return { text: phrases.map(({ text }) => text).join(' '), marks: phrases.flatMap(({ marks }) => marks) };
}

const plain = (text: string): Phrase => ({ text, marks: [] });

function withChoices(question: Phrase, { all }: Choices): Phrase {
  const options = all.flatMap((choice, i) => [plain(`(${LETTERS[i] ?? i + 1})`), choice]);
  return join2(question, ...options);
}

const letterAnswer = ({ letter }: Choices): Phrase => plain(`The answer is (${letter}).`);
const WHY = plain('Why?');

function turnsOf(
  version: DataSetOf<'vcr'>['version'],
  { question, answer, reason }: Parts,
  templates: Templates,
  random: Random,
): SampleTurn[] {
  const ask = (asked: Phrase, told: Phrase): SampleTurn => ({
    question: templates.draw(random, { '<question>': asked.text }),
    answer: told.text,
    marks: [...asked.marks, ...told.marks],
  });
  const goOn = (asked: Phrase, told: Phrase): SampleTurn => ({
    question: asked.text,
    answer: told.text,
    marks: [...asked.marks, ...told.marks],
  });
  const reasonFirst = join2({ ...reason.right, text: sentence(reason.right.text) }, answer.right);
  switch (version) {
    case 'q-a':
      return [ask(question, answer.right)];
    case 'q-ra':
      return [ask(question, reasonFirst)];
    case 'qc-a':
      return [ask(withChoices(question, answer), letterAnswer(answer))];
    case 'qc-ra':
      return [ask(withChoices(question, answer), reasonFirst)];
    case 'qc-rac':
      return [ask(withChoices(question, answer), join2(reasonFirst, plain(`So the answer is (${answer.letter}).`)))];
    case 'qa-r':
      return [ask(join2(question, answer.right, WHY), reason.right)];
    case 'qac-r':
      return [ask(withChoices(join2(question, answer.right, WHY), reason), letterAnswer(reason))];
    case 'q-a-q-r':
      return [ask(question, answer.right), goOn(WHY, reason.right)];
    case 'qc-a-qc-r':
      return [
        ask(withChoices(question, answer), letterAnswer(answer)),
        goOn(withChoices(WHY, reason), letterAnswer(reason)),
      ];
  }
}
