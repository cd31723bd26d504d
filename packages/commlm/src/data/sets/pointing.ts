/** Questions about a pointed place, and answers that point: PointQA local and twice, Visual7W pointing. */
import type { DataSetOf } from '../../config/data-sets.js';
import type { PixelBox, PixelPoint } from '../../images/frames.js';
import { asBox, asPoint, boxesField, boxesMark, boxField, pointsMark, sizeOf } from '../boxes.js';
import { type Draft, type Drafts, eachRecord, textField } from '../draft.js';
import { indexById, openJson, openJsonLines, type Records } from '../json-records.js';
import { refuseContent } from '../keys.js';
import { asObject, type Id, type JsonObject, listField, numberField, type Place, stringField } from '../place.js';
import { loadTemplates, type Templates } from '../templates.js';
import type { Random } from '../world/random.js';
import { countParts } from './parts.js';
import { requireSamples } from './splits.js';

type QuestionField = 'question' | 'obj_question' | 'super_question' | 'general_question';

const TWICE_FIELDS = { oq: 'obj_question', sq: 'super_question', gq: 'general_question' } as const;

/** PointQA local: one sample for each line. */
export function openPointQaLocal(config: DataSetOf<'pointqa-local'>): Promise<Drafts> {
  return openPointQa(config, 'question');
}

/** PointQA twice: one sample for each line. */
export function openPointQaTwice(config: DataSetOf<'pointqa-twice'>): Promise<Drafts> {
  return openPointQa(config, TWICE_FIELDS[config.question]);
}

/** The place as a box (`b`), a point (`p`), or either of them by the draw (`bp`). */
async function openPointQa(
  config: DataSetOf<'pointqa-local' | 'pointqa-twice'>,
  field: QuestionField,
): Promise<Drafts> {
  const lines = openJsonLines(config.file);
  const templates = await loadTemplates('vqa', config.templates);
  return eachRecord(lines, refuseContent(config.ignoreKeys), (line, place, random) => {
    const byBox = config.place === 'b' || (config.place === 'bp' && random.chance(0.5));
    const asked = `${textField(line, field, place)} ${byBox ? '<boxes>' : '<points>'}`;
    const mark = byBox
      ? boxesMark(boxField(line, 'bbox', 'corners', place))
      : pointsMark(asPoint(listField(line, 'point', place), place.at('point')));
    const turn = {
      question: templates.draw(random, { '<question>': asked }),
      answer: `The answer is ${textField(line, 'answer', place)} .`,
      marks: [mark],
    };
    return { pictures: [{ name: textField(line, 'file_path', place), size: sizeOf(line, place) }], turns: [turn] };
  });
}

/** Which of several boxes answers a question, as a box or as the point in its middle. */
function pointingTurn(
  question: string,
  candidates: readonly PixelBox[],
  answer: { readonly box: PixelBox; readonly point?: PixelPoint },
  as: 'b' | 'p',
  templates: Templates,
  random: Random,
): Draft['turns'][number] {
  const placeholders = candidates.map(() => '<boxes>').join(' ');
  const asked = `${question} Candidates: ${placeholders} answer in ${as === 'b' ? 'box' : 'point'} format.`;
  const told = as === 'b' ? boxesMark(answer.box) : pointsMark(answer.point ?? centreOf(answer.box));
  return {
    question: templates.draw(random, { '<question>': asked }),
    answer: `The answer is ${as === 'b' ? '<boxes>' : '<points>'} .`,
    marks: [...random.shuffle(candidates).map((box) => boxesMark(box)), told],
  };
}

const centreOf = ([x1, y1, x2, y2]: PixelBox): PixelPoint => [(x1 + x2) / 2, (y1 + y2) / 2];

/** Visual7W pointing: one sample for each question; the order of the candidates is drawn. */
export async function openVisual7w(config: DataSetOf<'visual7w'>): Promise<Drafts> {
  const templates = await loadTemplates('vqa', config.templates);
  return config.file.endsWith('.jsonl') ? openLines(config, templates) : openPublished(config, templates);
}

/** Shikra's lines: `candidates`, the `answer` among them, its `point`. */
function openLines(config: DataSetOf<'visual7w'>, templates: Templates): Drafts {
  const { file, place: as, splits } = config;
  const lines = openJsonLines(file);
  if (splits !== undefined) throw lines.place(0).error('the lines name no splits.', 'Remove "splits".');
  return eachRecord(lines, refuseContent(config.ignoreKeys), (line, place, random) => {
    const answer = {
      box: boxField(line, 'answer', 'corners', place),
      ...(line['point'] === undefined ? {} : { point: asPoint(listField(line, 'point', place), place.at('point')) }),
    };
    const candidates = boxesField(line, 'candidates', place);
    if (!candidates.some((box) => box.every((value, i) => value === answer.box[i]))) {
      throw place.error('the answer is none of the candidates.', 'Correct the record.');
    }
    const turn = pointingTurn(textField(line, 'question', place), candidates, answer, as, templates, random);
    return { pictures: [{ name: textField(line, 'file_path', place), size: sizeOf(line, place) }], turns: [turn] };
  });
}

/** The published file: `images` with `qa_pairs` that name `boxes` by number. */
function openPublished(config: DataSetOf<'visual7w'>, templates: Templates): Drafts {
  const document = openJson(config.file);
  const images = document.list('images');
  const boxes = new Boxes(document.list('boxes'));
  const found = new Set<string>();
  const pairsOf = (i: number): readonly unknown[] => listField(images.object(i), 'qa_pairs', images.place(i));
  const parts = countParts(images, (i) => {
    if (config.splits === undefined) return pairsOf(i).length;
    const split = stringField(images.object(i), 'split', images.place(i));
    found.add(split);
    return config.splits.includes(split) ? pairsOf(i).length : 0;
  });
  requireSamples(parts.length, config.file, config.splits, found);
  const check = refuseContent(config.ignoreKeys);
  return {
    length: parts.length,
    draft: (index, random) => {
      const { record, part } = parts.at(index);
      const place = images.place(record).at(`qa_pairs[${part}]`);
      check(images.object(record), images.place(record));
      const pair = asObject(pairsOf(record)[part], place);
      check(pair, place);
      const answer = boxes.box(pair['answer'], place);
      const others = listField(pair, 'multiple_choices', place).map((id) => boxes.box(id, place));
      const question = textField(pair, 'question', place);
      const turn = pointingTurn(question, [answer, ...others], { box: answer }, config.place, templates, random);
      const pictures = [{ name: textField(images.object(record), 'filename', images.place(record)) }];
      return { key: `${record + 1}.${part + 1}`, place, pictures, turns: [turn] };
    },
  };
}

/** Boxes by `box_id`. */
class Boxes {
  readonly #records: Records;
  readonly #byId: ReadonlyMap<Id, number>;

  constructor(records: Records) {
    this.#records = records;
    this.#byId = indexById(records, 'box_id', 'box');
  }

  box(id: unknown, from: Place): PixelBox {
    const index = this.#byId.get(id as Id);
    if (index === undefined) throw from.error(`there is no box ${JSON.stringify(id)}.`, 'Use the file as published.');
    const place = this.#records.place(index);
    const record: JsonObject = this.#records.object(index);
    return asBox(
      ['x', 'y', 'width', 'height'].map((name) => numberField(record, name, place)),
      'size',
      place,
    );
  }
}
