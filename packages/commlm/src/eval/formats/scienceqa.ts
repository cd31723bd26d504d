/** ScienceQA: problems keyed by id, the split file, and predictions as JSON lines `{question_id, text}`. */
import type { ScienceQaProblem } from '../metrics/scienceqa.js';
import { asObject, ById, idField, listField, Place, readJson, readJsonLines, stringField } from './files.js';

/** Reads the problems of a split; without a split file, those whose own `split` field says so. */
export async function readScienceQaProblems(
  path: string,
  options: { readonly split: string; readonly splitFile?: string | undefined },
): Promise<readonly ScienceQaProblem[]> {
  const place = new Place(path);
  const root = asObject(await readJson(path), place);
  const ids =
    options.splitFile === undefined
      ? Object.keys(root).filter((id) => {
          const at = place.at(`problem ${JSON.stringify(id)}`);
          return stringField(asObject(root[id], at), 'split', at) === options.split;
        })
      : await readSplit(options.splitFile, options.split);
  if (ids.length === 0)
    throw place.error(`no problem is in the split "${options.split}".`, undefined, 'score/no-split');
  return ids.map((id) => {
    const at = place.at(`problem ${JSON.stringify(id)}`);
    if (root[id] === undefined) throw at.error(`the problem is missing, though ${options.splitFile} lists it.`);
    const problem = asObject(root[id], at);
    const numChoices = listField(problem, 'choices', at).length;
    const answer = problem['answer'];
    if (typeof answer !== 'number' || !Number.isInteger(answer) || answer < 0 || answer >= numChoices) {
      throw at.error(`"answer" must be an index of its ${numChoices} choices, but is ${JSON.stringify(answer)}.`);
    }
    return { id, numChoices, answer, hasImage: typeof problem['image'] === 'string' && problem['image'] !== '' };
  });
}

async function readSplit(path: string, split: string): Promise<readonly string[]> {
  const place = new Place(path);
  const root = asObject(await readJson(path), place);
  if (!(split in root)) {
    throw place.error(
      `there is no split "${split}".`,
      `Its splits are ${Object.keys(root).join(', ')}.`,
      'score/no-split',
    );
  }
  const seen = new ById<true>('problem');
  return listField(root, split, place).map((value, i) => {
    const at = place.at(`${split}[${i}]`);
    const id = idField({ id: value }, 'id', at);
    seen.add(id, true, at);
    return String(id);
  });
}

/** Reads predictions; ids that are no problem of the split are refused, missing ones count as wrong. */
export async function readScienceQaPredictions(
  path: string,
  problems: readonly ScienceQaProblem[],
): Promise<ReadonlyMap<string, string>> {
  const wanted = new Set(problems.map(({ id }) => id));
  const predictions = new ById<string>('problem');
  for (const { value, place } of await readJsonLines(path)) {
    const id = String(idField(value, 'question_id', place));
    if (!wanted.has(id)) {
      throw place.error(`problem ${JSON.stringify(id)} is not in the split.`, undefined, 'score/extra-id');
    }
    predictions.add(id, stringField(value, 'text', place), place);
  }
  return new Map([...predictions.values].map(([id, text]) => [String(id), text]));
}
