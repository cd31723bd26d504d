/** POPE files: JSON lines of questions with labels, and of answers in the same order or by question id. */
import {
  ById,
  type Id,
  idField,
  type JsonLine,
  Place,
  readJsonLines,
  requireSameCount,
  requireSameIds,
  stringField,
} from './files.js';

/** One labelled question; `category` names the split in files that join several. */
export interface PopeQuestion {
  readonly id: Id;
  readonly text: string;
  readonly label: string;
  readonly category?: string;
}

/** Reads `{question_id, image, text, label}` lines. */
export async function readPopeQuestions(path: string): Promise<readonly PopeQuestion[]> {
  return (await readJsonLines(path)).map(({ value, place }) => {
    const label = stringField(value, 'label', place);
    if (label !== 'yes' && label !== 'no')
      throw place.error(`"label" must be "yes" or "no", but is ${JSON.stringify(label)}.`);
    return {
      id: idField(value, 'question_id', place),
      text: stringField(value, 'text', place),
      label,
      ...('category' in value ? { category: stringField(value, 'category', place) } : {}),
    };
  });
}

/** Reads answers, one for each question and in the order of the questions. */
export async function readPopeAnswers(
  path: string,
  questions: readonly PopeQuestion[],
  annotationsPath: string,
): Promise<readonly string[]> {
  const lines = await readJsonLines(path);
  const files = { annotations: annotationsPath, predictions: path };
  if (lines.every(({ value }) => 'question_id' in value)) return answersById(lines, questions, files);
  requireSameCount(questions.length, lines.length, files);
  const texts = new Set(questions.map(({ text }) => text));
  return lines.map(({ value, place }, i) => {
    const asked = stringField(value, 'question', place);
    if (asked !== questions[i]?.text && texts.has(asked)) {
      throw place.error(
        `the answer is to another question than line ${i + 1} of ${annotationsPath}.`,
        'Write the answers in the order of the questions.',
        'score/wrong-order',
      );
    }
    return stringField(value, 'answer', place);
  });
}

function answersById(
  lines: readonly JsonLine[],
  questions: readonly PopeQuestion[],
  files: { readonly annotations: string; readonly predictions: string },
): readonly string[] {
  const wanted = new ById<true>('question');
  questions.forEach(({ id }, i) => {
    wanted.add(id, true, new Place(files.annotations, `line ${i + 1}`));
  });
  const answers = new ById<string>('question');
  for (const { value, place } of lines) {
    const field = 'text' in value ? 'text' : 'answer' in value ? 'answer' : 'text';
    answers.add(idField(value, 'question_id', place), stringField(value, field, place), place);
  }
  requireSameIds(new Set(wanted.values.keys()), answers, 'question', files);
  return questions.map(({ id }) => answers.values.get(id)!);
}
