/** VQAv2, OK-VQA and TextVQA annotation files. */
import type { VqaAnnotation } from '../metrics/vqa.js';
import { asObject, ById, type Id, idField, type JsonObject, listField, Place, readJson, stringField } from './files.js';

const NUM_HUMANS = 10;

/** An entry of the annotations; `imageId` where it names a picture. */
export interface VqaEntry extends VqaAnnotation<Id> {
  readonly imageId: Id | undefined;
}

const imageIdOf = (annotation: JsonObject, at: Place): Id | undefined =>
  'image_id' in annotation ? idField(annotation, 'image_id', at) : undefined;

/** Reads `{annotations: [{question_id, answer_type, question_type, answers: [{answer}] x 10}]}`. */
export async function readVqaAnnotations(path: string): Promise<readonly VqaEntry[]> {
  const place = new Place(path);
  const root = asObject(await readJson(path), place);
  const seen = new ById<true>('question');
  const annotations = listField(root, 'annotations', place).map((value, i) => {
    const at = place.at(`annotations[${i}]`);
    const annotation = asObject(value, at);
    const id = idField(annotation, 'question_id', at);
    seen.add(id, true, at);
    const answers = listField(annotation, 'answers', at).map((answer, k) => {
      const answerAt = at.at(`answers[${k}]`);
      return stringField(asObject(answer, answerAt), 'answer', answerAt);
    });
    requireTen(answers, at);
    return {
      id,
      imageId: imageIdOf(annotation, at),
      answers,
      answerType: stringField(annotation, 'answer_type', at),
      questionType: stringField(annotation, 'question_type', at),
    };
  });
  if (annotations.length === 0) throw place.error('the file holds no annotations.');
  return annotations;
}

/** Reads TextVQA's `{data: [{question_id, answers: [10 texts]}]}`. */
export async function readTextVqaAnnotations(path: string): Promise<readonly VqaEntry[]> {
  const place = new Place(path);
  const root = asObject(await readJson(path), place);
  const seen = new ById<true>('question');
  const annotations = listField(root, 'data', place).map((value, i) => {
    const at = place.at(`data[${i}]`);
    const annotation = asObject(value, at);
    const id = idField(annotation, 'question_id', at);
    seen.add(id, true, at);
    const answers = listField(annotation, 'answers', at).map((answer, k) => {
      if (typeof answer !== 'string') throw at.error(`answers[${k}] must be a text.`);
      return answer;
    });
    requireTen(answers, at);
    return { id, imageId: imageIdOf(annotation, at), answers };
  });
  if (annotations.length === 0) throw place.error('the file holds no annotations.');
  return annotations;
}

function requireTen(answers: readonly string[], at: Place): void {
  if (answers.length !== NUM_HUMANS) throw at.error(`${answers.length} human answers, but ten are needed.`);
}
