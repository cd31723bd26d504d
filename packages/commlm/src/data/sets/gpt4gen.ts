/** Shikra's generated questions (GPT4Gen BoxCoT, and RD BoxCoT, which is Shikra-RD), one a line. */
import type { DataSetOf } from '../../config/data-sets.js';
import { boxesField, boxGroups, sizeOf } from '../boxes.js';
import { type Drafts, eachRecord, textField } from '../draft.js';
import { openJsonLines } from '../json-records.js';
import { refuseContent } from '../keys.js';
import { listField } from '../place.js';
import type { Mark } from '../sample.js';
import { loadTemplates } from '../templates.js';
import { boxesForPhrases, withoutPhrases } from './spot.js';

const TASKS = { a: 'vqa', c: 'vqa-cot', bc: 'vqa-bcot' } as const;

/** `a` the answer alone, `c` the chain of thought in words, `bc` with boxes; the question has its boxes always. */
export async function openGpt4Gen(config: DataSetOf<'gpt4gen'>): Promise<Drafts> {
  const lines = openJsonLines(config.file);
  const templates = await loadTemplates(TASKS[config.version], config.templates);
  return eachRecord(lines, refuseContent(config.ignoreKeys), (line, place, random) => {
    const boxes = boxesField(line, 'boxes', place);
    const groups = (name: string): Mark[] => boxGroups(listField(line, name, place), boxes, place.at(name));
    const question = boxesForPhrases(textField(line, 'question', place));
    const marks = groups('question_boxes_seq');
    const thought = (): string => textField(line, 'cot_with_ans', place);
    const [answer, answerMarks]: [string, Mark[]] =
      config.version === 'a'
        ? [`The answer is ${textField(line, 'answer', place)}.`, []]
        : config.version === 'c'
          ? [withoutPhrases(thought()), []]
          : [boxesForPhrases(thought()), groups('answer_boxes_seq')];
    const turn = {
      question: templates.draw(random, { '<question>': question }),
      answer,
      marks: [...marks, ...answerMarks],
    };
    return { pictures: [{ name: textField(line, 'img_path', place), size: sizeOf(line, place) }], turns: [turn] };
  });
}
