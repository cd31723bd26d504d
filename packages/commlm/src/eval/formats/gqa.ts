/** GQA: the questions file keyed by id, and predictions `[{questionId, prediction}]`. */
import type { GqaQuestion } from '../metrics/gqa.js';
import { asObject, type Id, Place, readJson, requireSameIds, stringField } from './files.js';
import { readPredictionList } from './predictions.js';

/** The balanced questions in the order of the file, and the ids of all questions. */
export interface GqaFile {
  readonly questions: readonly GqaQuestion[];
  readonly ids: ReadonlySet<string>;
}

/** Reads the questions file; only balanced questions are scored. */
export async function readGqaQuestions(path: string): Promise<GqaFile> {
  const place = new Place(path);
  const root = asObject(await readJson(path), place);
  const questions: GqaQuestion[] = [];
  for (const [id, value] of Object.entries(root)) {
    const at = place.at(`question ${JSON.stringify(id)}`);
    const question = asObject(value, at);
    const isBalanced = question['isBalanced'];
    if (isBalanced !== undefined && typeof isBalanced !== 'boolean')
      throw at.error('"isBalanced" must be true or false.');
    if (isBalanced === false) continue;
    const types = 'types' in question ? asObject(question['types'], at.at('types')) : {};
    const isOpen = 'structural' in types ? stringField(types, 'structural', at.at('types')) === 'query' : true;
    questions.push({ id, answer: stringField(question, 'answer', at), isOpen });
  }
  if (questions.length === 0) throw place.error('the file holds no balanced question.');
  return { questions, ids: new Set(Object.keys(root)) };
}

/** Reads predictions; every balanced question must have one, questions that are not balanced may. */
export async function readGqaPredictions(
  path: string,
  { questions, ids }: GqaFile,
  annotations: string,
): Promise<ReadonlyMap<string, string>> {
  const predictions = await readPredictionList(path, 'questionId', 'prediction', 'question');
  const scored = new Set<Id>(questions.map(({ id }) => id));
  for (const id of predictions.values.keys()) if (typeof id === 'string' && ids.has(id)) scored.add(id);
  requireSameIds(scored, predictions, 'question', { annotations, predictions: path });
  return predictions.values as ReadonlyMap<string, string>;
}
