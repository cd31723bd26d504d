/** MMVP: `Questions.csv` with the right options, and predictions as JSON lines `{question_id, text}`. */
import { ById, idField, Place, readJsonLines, readTable, requireSameIds, stringField } from './files.js';

/** One question by its number in the table. */
export interface MmvpQuestion {
  readonly index: number;
  readonly label: 'A' | 'B';
}

/** Reads the questions; their numbers must run 1, 2, 3, ... so that pairs are what they are. */
export async function readMmvpQuestions(path: string): Promise<readonly MmvpQuestion[]> {
  const rows = await readTable(path, ',', ['Index', 'Question', 'Options', 'Correct Answer']);
  const questions = rows.map(({ cells, place }, i) => {
    const index = Number(cells.get('Index'));
    if (index !== i + 1)
      throw place.error(`"Index" must be ${i + 1} here, but is ${JSON.stringify(cells.get('Index'))}.`);
    const letter = /^\s*\(([ab])\)\s*$/i.exec(cells.get('Correct Answer')!)?.[1];
    if (letter === undefined) {
      throw place.error(`"Correct Answer" must be (a) or (b), but is ${JSON.stringify(cells.get('Correct Answer'))}.`);
    }
    return { index, label: letter.toUpperCase() as 'A' | 'B' };
  });
  if (questions.length === 0 || questions.length % 2 !== 0) {
    throw new Place(path).error(
      `${questions.length} questions, but they come in pairs.`,
      undefined,
      'score/wrong-count',
    );
  }
  return questions;
}

/** Reads one answer per question, in the order of the questions. */
export async function readMmvpAnswers(
  path: string,
  questions: readonly MmvpQuestion[],
  annotations: string,
): Promise<readonly string[]> {
  const answers = new ById<string>('question');
  for (const { value, place } of await readJsonLines(path)) {
    const id = idField(value, 'question_id', place);
    const index = typeof id === 'string' && /^\d+$/.test(id) ? Number(id) : id;
    answers.add(index, stringField(value, 'text', place), place);
  }
  requireSameIds(new Set(questions.map(({ index }) => index)), answers, 'question', { annotations, predictions: path });
  return questions.map(({ index }) => answers.values.get(index)!);
}
