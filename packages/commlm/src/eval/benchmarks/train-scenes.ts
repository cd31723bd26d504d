/** What the manifest of `commlm world` says of a data folder: scenes of the train split are no test of a model that learnt from them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readJson } from '../../files/read.js';

const NOTE =
  'The data are scenes of the train split (world.json), which models of the world learnt from: no test of those; make scenes with commlm world --split test.';

/** The notes of figures over a data folder: one where it holds scenes of the train split. */
export function trainSceneNotes(data: string): readonly string[] {
  const path = join(data, 'world.json');
  if (!existsSync(path)) return [];
  try {
    const manifest = readJson(path, { what: 'the manifest of the scenes' }) as { split?: unknown } | null;
    return manifest?.split === 'train' ? [NOTE] : [];
  } catch {
    return []; // some other file of that name, which no benchmark reads
  }
}
