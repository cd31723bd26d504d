/** GQA: questions as published (an object by id) or as Shikra's lines, with boxes from the scene graphs. */
import type { DataSetOf } from '../../config/data-sets.js';
import { asBox, boxesField, boxesMark, boxGroups, sizeOf } from '../boxes.js';
import { type Drafts, eachRecord, textField } from '../draft.js';
import { type Members, openJson, openJsonLines, type Records } from '../json-records.js';
import { refuseContent } from '../keys.js';
import { asObject, idField, type JsonObject, listField, numberField, type Place } from '../place.js';
import type { Mark, Size } from '../sample.js';
import type { TemplateTask } from '../template-sentences.js';
import { loadTemplates } from '../templates.js';
import { boxesForPhrases, withoutPhrases } from './spot.js';
import { sentence } from './vqa.js';

type GqaConfig = DataSetOf<'gqa'>;

const TASKS: Readonly<Record<GqaConfig['answer'], TemplateTask>> = {
  a: 'vqa',
  l: 'vqa',
  c: 'vqa-cot',
  s: 'vqa-cot',
  bc: 'vqa-bcot',
  bs: 'vqa-bcot',
  bl: 'vqa-bcot',
};

/** A text with what stands for its placeholders. */
interface Located {
  readonly text: string;
  readonly marks: readonly Mark[];
}

/** One sample for each question. `qbp` puts boxes into every second question, by the draw. */
export async function openGqa(config: GqaConfig): Promise<Drafts> {
  const questions: Records = config.questions.endsWith('.jsonl')
    ? openJsonLines(config.questions)
    : openJson(config.questions).members();
  const scenes = config.sceneGraphs === undefined ? undefined : openJson(config.sceneGraphs).members();
  const templates = await loadTemplates(TASKS[config.answer], config.templates);
  return {
    ...eachRecord(questions, refuseContent(config.ignoreKeys), (record, place, random) => {
      const imageId = idField(record, 'imageId', place);
      const scene = new Scene(scenes, String(imageId), place);
      const withBoxes = config.question === 'qb' || (config.question === 'qbp' && random.chance(0.5));
      const question = withBoxes ? locateTokens(record, 'question', scene, place) : plain(record, 'question', place);
      const answer = answerOf(config.answer, record, scene, place);
      const turn = {
        question: templates.draw(random, { '<question>': question.text }),
        answer: answer.text,
        marks: [...question.marks, ...answer.marks],
      };
      const size = turn.marks.length === 0 ? undefined : scene.size();
      return { pictures: [{ id: imageId, size }], turns: [turn] };
    }),
    pictures: (index) => [{ id: idField(questions.object(index), 'imageId', questions.place(index)) }],
  };
}

function plain(record: JsonObject, field: string, place: Place): Located {
  return { text: textField(record, field, place), marks: [] };
}

function answerOf(version: GqaConfig['answer'], record: JsonObject, scene: Scene, place: Place): Located {
  const conclude = ({ text, marks }: Located): Located => ({
    text: `${sentence(text)} So the answer is ${textField(record, 'answer', place)}.`,
    marks,
  });
  switch (version) {
    case 'a':
      return { text: `The answer is ${textField(record, 'answer', place)}.`, marks: [] };
    case 'l':
      return plain(record, 'fullAnswer', place);
    case 'bl':
      return locateTokens(record, 'fullAnswer', scene, place);
    case 'c':
      return conclude({ text: withoutPhrases(thought(record, place).text), marks: [] });
    case 'bc':
      return conclude(thought(record, place));
    case 's':
      return conclude({ text: semantics(record, place).replace(OBJECT_IDS, ''), marks: [] });
    case 'bs':
      return conclude(locateSemantics(semantics(record, place), scene, place));
  }
}

/** Shikra's `cot`: a text with marked phrases, boxes, and which of them belong to which phrase. */
function thought(record: JsonObject, place: Place): Located {
  const at = place.at('cot');
  const cot = asObject(record['cot'], at);
  const marks = boxGroups(listField(cot, 'seq', at), boxesField(cot, 'boxes', at), at.at('seq'));
  return { text: boxesForPhrases(textField(cot, 'value', at)), marks };
}

const OBJECT_IDS = /\s*\((?:-|\d+(?:,\s*\d+)*)\)/g;

function semantics(record: JsonObject, place: Place): string {
  return textField(record, 'semanticStr', place);
}

/** `select: dog (123)->query: color [0]`: the ids of objects become boxes. */
function locateSemantics(text: string, scene: Scene, place: Place): Located {
  const marks: Mark[] = [];
  const located = text.replace(OBJECT_IDS, (ids) => {
    const objects = ids.match(/\d+/g);
    if (objects === null) return '';
    marks.push(scene.boxes(objects, place));
    return ' <boxes>';
  });
  return { text: located, marks };
}

const TOKEN_RANGE = /^(\d+)(?::(\d+))?$/;

/** Puts boxes behind the words that `annotations` ties to objects: `{"4": id}` or `{"2:4": id}`, words counted from 0. */
function locateTokens(record: JsonObject, field: string, scene: Scene, place: Place): Located {
  const at = place.at(`annotations.${field}`);
  const ties = asObject(asObject(record['annotations'], place.at('annotations'))[field], at);
  const words = textField(record, field, place).split(/\s+/);
  const behind = new Map<number, string[]>();
  for (const [range, id] of Object.entries(ties)) {
    const match = TOKEN_RANGE.exec(range);
    const last = match === null ? -1 : match[2] === undefined ? Number(match[1]) : Number(match[2]) - 1;
    if (last < 0 || last >= words.length) {
      throw at.error(`"${range}" is no place among ${words.length} words.`, 'Use the questions as published.');
    }
    behind.set(last, [...(behind.get(last) ?? []), String(id)]);
  }
  const marks: Mark[] = [];
  const text = words.map((word, i) => {
    const ids = behind.get(i);
    if (ids === undefined) return word;
    marks.push(scene.boxes(ids, at));
    return word.replace(/([?.,!]*)$/, ' <boxes>$1');
  });
  return { text: text.join(' '), marks };
}

/** Boxes of the objects of one picture. */
class Scene {
  readonly #scenes: Members | undefined;
  readonly #imageId: string;
  readonly #question: Place;

  constructor(scenes: Members | undefined, imageId: string, question: Place) {
    this.#scenes = scenes;
    this.#imageId = imageId;
    this.#question = question;
  }

  boxes(ids: readonly string[], from: Place): Mark {
    const scenes = this.#scenes;
    if (scenes === undefined) throw from.error('boxes need the scene graphs.', 'Give their file as "sceneGraphs".');
    const index = scenes.find(this.#imageId);
    if (index === undefined) {
      throw this.#question.error(`picture ${this.#imageId} has no scene graph.`, 'Use files of one split.');
    }
    const place = scenes.place(index);
    const objects = asObject(scenes.object(index)['objects'], place.at('objects'));
    return boxesMark(...ids.map((id) => boxOf(objects[id], id, from, place)));
  }

  /** Size of the picture, where there is a graph of it that tells. */
  size(): Size | undefined {
    const index = this.#scenes?.find(this.#imageId);
    if (this.#scenes === undefined || index === undefined) return undefined;
    return sizeOf(this.#scenes.object(index), this.#scenes.place(index));
  }
}

function boxOf(value: unknown, id: string, from: Place, scene: Place) {
  if (value === undefined) throw from.error(`object ${id} is not in the scene graph.`, 'Use files of one version.');
  const at = scene.at(`objects.${id}`);
  const object = asObject(value, at);
  return asBox(
    ['x', 'y', 'w', 'h'].map((name) => numberField(object, name, at)),
    'size',
    at,
  );
}
