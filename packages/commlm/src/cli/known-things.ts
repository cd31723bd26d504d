/**
 * What a model knows, in its own words: `commlm.json` in its folder. Small models have one, since they answer with the same
 * confidence about what they never saw; a model without it says nothing.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { parseConfig } from '../config/json.js';
import { readJson } from '../files/read.js';
import { modelName } from '../hub/model-folder.js';
import { photoModelCommands } from './photo-models.js';

const FILE = 'commlm.json';

const KnownThings = z.strictObject({
  /** Completes the sentence "The model knows ...". */
  knows: z.string().min(1),
  /** True for a model that has seen photographs. */
  photographs: z.boolean(),
  /** Singular to plural. */
  nouns: z.record(z.string(), z.string()),
  /** The other words of the questions it was trained with, between blanks. */
  words: z.string(),
});

/** What `commlm.json` says, with the model's name. */
export type KnownThings = z.infer<typeof KnownThings> & { readonly name: string };

/** Reads the file of a model's folder; undefined where there is none. Throws CommError for one that is not valid. */
export function readKnownThings(folder: string): KnownThings | undefined {
  const path = join(folder, FILE);
  if (!existsSync(path)) return undefined;
  return { name: modelName(folder), ...parseConfig(KnownThings, readJson(path, { what: 'what a model knows' }), path) };
}

/** One line for the start: what the model knows, and where to get one for photographs. */
export function introduction({ name, knows, photographs }: KnownThings): string {
  if (photographs) return `${name} knows ${knows}.`;
  return `${name} knows ${knows} and no photographs; for those: ${photoModelCommands().join(' or ')}, then --model NAME.`;
}

/** Words that hardly a question in English is without, and that are none of German, French or Spanish. */
const ENGLISH = new Set(
  (
    'is are be has have does did can could would should the this that these those there here they their them it its ' +
    'you your we our my what where which who whose when why how and of with from not any many much ' +
    'find describe show tell give look name identify locate please say explain'
  ).split(' '),
);
/** Fewer words may well be a name alone. */
const FEWEST_WORDS = 3;

/**
 * A line for a question that names no thing the model knows and has a word it was never asked with; undefined for others
 * ("What is in the picture?" needs no noun).
 */
export function hintFor(question: string, { name, nouns, words }: KnownThings): string | undefined {
  const asked = question.toLowerCase().match(/[\p{L}\p{M}]+/gu) ?? [];
  const known = new Set(Object.entries(nouns).flat());
  if (asked.some((word) => known.has(word))) return undefined;
  const taught = new Set(words.split(' '));
  const strange = [...new Set(asked)].filter((word) => !taught.has(word));
  if (strange.length === 0) return undefined;
  if (asked.length >= FEWEST_WORDS && !asked.some((word) => ENGLISH.has(word))) {
    return `${name} knows English only, so its answer to this means nothing; ask as in "Is there a dog in the image?".`;
  }
  const quoted = strange.slice(0, 3).map((word) => `"${word}"`);
  return `${name} was never asked about ${quoted.join(', ')}, so its answer means nothing. It knows: ${Object.keys(nouns).join(', ')}.`;
}
