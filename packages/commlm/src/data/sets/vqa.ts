/** Questions about pictures with short answers: VQAv2, OK-VQA, VQA-E, VQA-X, POPE, and Shikra's lines. */
import type { DataSetOf } from '../../config/data-sets.js';
import { type Drafts, eachRecord, type PictureName, textField } from '../draft.js';
import { indexById, openArrayOrLines, openJson, openJsonLines } from '../json-records.js';
import { type KeyCheck, refuseContent } from '../keys.js';
import { asList, asObject, type Id, idField, type JsonObject, listField, type Place, stringField } from '../place.js';
import { loadTemplates } from '../templates.js';

/** Questions and annotations as published: one sample for each question, joined by `question_id`. */
export async function openVqa(config: DataSetOf<'vqa'>): Promise<Drafts> {
  const questions = openJson(config.questions).list('questions');
  const annotations = openJson(config.annotations).list('annotations');
  const annotationOf = indexById(annotations, 'question_id', 'question');
  const check = refuseContent(config.ignoreKeys);
  const templates = await loadTemplates('vqa', config.templates);
  return eachRecord(questions, check, (question, place, random) => {
    const id = idField(question, 'question_id', place);
    const found = annotationOf.get(id);
    if (found === undefined) {
      throw place.error(
        `question ${JSON.stringify(id)} has no annotation in ${config.annotations}.`,
        'Use files of one split.',
      );
    }
    const answer = shortAnswer(annotations.object(found), annotations.place(found), check);
    const asked = templates.draw(random, { '<question>': textField(question, 'question', place) });
    return {
      pictures: [{ id: idField(question, 'image_id', place) }],
      turns: [{ question: asked, answer: `The answer is ${answer}.`, marks: [] }],
    };
  });
}

/** `multiple_choice_answer`; OK-VQA has none, there it is the answer that most humans gave, the first of equals. */
function shortAnswer(annotation: JsonObject, place: Place, check: KeyCheck): string {
  check(annotation, place);
  if (annotation['multiple_choice_answer'] !== undefined) return textField(annotation, 'multiple_choice_answer', place);
  const counts = new Map<string, number>();
  listField(annotation, 'answers', place).forEach((value, i) => {
    const at = place.at(`answers[${i}]`);
    const given = asObject(value, at);
    check(given, at);
    const answer = textField(given, 'answer', at);
    counts.set(answer, (counts.get(answer) ?? 0) + 1);
  });
  const most = Math.max(0, ...counts.values());
  const best = [...counts].find(([, count]) => count === most);
  if (best === undefined) throw place.error('the question has no answers.', 'Use the annotations as published.');
  return best[0];
}

/** Shikra's lines of VQAv2. */
export async function openVqaLines(config: DataSetOf<'vqa-lines'>): Promise<Drafts> {
  const lines = openJsonLines(config.file);
  const templates = await loadTemplates('vqa', config.templates);
  const check = refuseContent(config.ignoreKeys);
  return eachRecord(lines, check, (line, place, random) => {
    const at = place.at('annotation');
    const answer = shortAnswer(asObject(line['annotation'], at), at, check);
    const question = templates.draw(random, { '<question>': textField(line, 'question', place) });
    const pictures = [{ name: textField(line, 'image_path', place) }];
    return {
      pictures,
      turns: [{ question, answer: `The answer is ${answer}.`, marks: [] }],
    };
  });
}

/** Reasons first, then the answer. VQA-E's reason is one text (with a score), VQA-X's are several, one of which is drawn. */
export async function openVqaExplained(config: DataSetOf<'vqa-e' | 'vqa-x'>): Promise<Drafts> {
  const records = openArrayOrLines(config.file);
  const templates = await loadTemplates('vqa-cot', config.templates);
  const [reasonField, answerFields] =
    config.kind === 'vqa-e'
      ? (['explanation', ['multiple_answers', 'multiple_choice_answer']] as const)
      : (['justification', ['multiple_choice_answer']] as const);
  return eachRecord(records, refuseContent(config.ignoreKeys), (record, place, random) => {
    const reasons = asList(record[reasonField], place.at(reasonField)).filter((item) => typeof item === 'string');
    const usable = (config.kind === 'vqa-e' ? reasons.slice(0, 1) : reasons).filter((text) => text.trim() !== '');
    if (usable.length === 0) throw place.error(`"${reasonField}" holds no text.`, 'Correct the record.');
    const reason = sentence(random.pick(usable));
    const answer = textField(record, answerFields.find((name) => record[name] !== undefined) ?? answerFields[0], place);
    const question = templates.draw(random, { '<question>': textField(record, 'question', place) });
    return {
      pictures: [explainedPicture(record, place)],
      turns: [{ question, answer: `${reason} So the answer is ${answer}.`, marks: [] }],
    };
  });
}

function explainedPicture(record: JsonObject, place: Place): PictureName {
  if (record['file_path'] !== undefined) return { name: textField(record, 'file_path', place) };
  const field = record['img_id'] !== undefined ? 'img_id' : 'image_id';
  return { id: idField(record, field, place) as Id };
}

/** A text that ends as a sentence does. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

/** POPE's questions. */
export async function openPope(config: DataSetOf<'pope'>): Promise<Drafts> {
  const lines = openJsonLines(config.file);
  const templates = await loadTemplates('vqa', config.templates);
  return eachRecord(lines, refuseContent(config.ignoreKeys), (line, place, random) => {
    const label = stringField(line, 'label', place);
    if (label !== 'yes' && label !== 'no') {
      throw place.error(`"label" must be "yes" or "no", but is ${JSON.stringify(label)}.`, 'Correct the record.');
    }
    const question = templates.draw(random, { '<question>': textField(line, 'text', place) });
    const pictures = [{ name: textField(line, 'image', place) }];
    return {
      pictures,
      turns: [{ question, answer: `The answer is ${label} .`, marks: [] }],
    };
  });
}
