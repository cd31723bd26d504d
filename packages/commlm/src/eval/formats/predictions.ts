/** Prediction files that are one JSON list of objects with an id and a text. */
import { asList, asObject, ById, idField, Place, readJson, stringField } from './files.js';

/** Reads a list of objects with an id and a text, such as `[{question_id, answer}]`. */
export async function readPredictionList(
  path: string,
  idName: string,
  textName: string,
  noun: string,
): Promise<ById<string>> {
  const place = new Place(path);
  const entries = asList(await readJson(path), place);
  if (entries.length === 0) throw place.error('the list of predictions is empty.');
  const predictions = new ById<string>(noun);
  entries.forEach((value, i) => {
    const at = place.at(`entry ${i + 1}`);
    const entry = asObject(value, at);
    predictions.add(idField(entry, idName, at), stringField(entry, textName, at), at);
  });
  return predictions;
}
