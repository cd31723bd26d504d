/**
 * How questions are put and answers unwrapped, as data: a set for each family of models, versioned, printed in every result.
 * A figure depends on these words more than on most settings of a model.
 */
import { existsSync } from 'node:fs';
import { z } from 'zod';
import { checkFields } from '../config/check-fields.js';
import { CommError } from '../config/errors.js';
import type { CommConfig } from '../config/model.js';
import { readJson } from '../files/read.js';
import type { EvalItem } from './benchmarks/item.js';
import { COORDINATES, type Coordinates, FRAME_SENTENCES, type FrameName, rewriteBox, writeBox } from './coordinates.js';

/** What is asked for; benchmarks that ask alike share a prompt. */
export const PROMPT_NAMES = [
  ...(['caption', 'vqa', 'gqa', 'pope', 'mme', 'mmbench', 'scienceqa', 'mmvp', 'rec', 'reg'] as const),
] as const;
export type PromptName = (typeof PROMPT_NAMES)[number];

/** One way to ask. */
export interface EvalPrompt {
  /**
   * Placeholders: `<question>`, `<options>`, `<hint>`, `<expr>`, `<boxes>`, `<frame>` (a sentence about coordinates). A line
   * whose placeholder has nothing to say is left out.
   */
  readonly template: string;
  /** `as-is`, or `the-answer-is`: the frame "The answer is X." is taken away before scoring. */
  readonly answer: 'as-is' | 'the-answer-is';
  /** How boxes are written; only where there are boxes. */
  readonly coordinates?: Coordinates | undefined;
}

/** A set of prompts. */
export interface PromptSet {
  readonly name: string;
  readonly version: number;
  readonly prompts: Readonly<Record<PromptName, EvalPrompt>>;
}

const asIs = (template: string): EvalPrompt => ({ template, answer: 'as-is' });
const framed = (template: string): EvalPrompt => ({ template, answer: 'the-answer-is' });

const SHORT = 'Answer the question using a single word or phrase.';
const LETTER = "Answer with the option's letter from the given choices directly.";

/** COMM and Shikra, and what is trained as they are: sentences around short answers, boxes in the padded square. */
const SHIKRA: PromptSet = {
  name: 'shikra',
  version: 1,
  prompts: {
    caption: asIs('Describe the image.'),
    vqa: framed('<question>'),
    gqa: framed('<question>'),
    pope: framed('<question> please answer yes or no.'),
    mme: framed('<question>'),
    mmbench: framed(
      'Hint: <hint>\nQuestion: <question>\nOptions:\n<options>\nPlease select the correct answer from the options above.',
    ),
    scienceqa: framed(
      'Context: <hint>\n<question>\n<options>\nPlease select the correct answer from the options above.',
    ),
    mmvp: framed('<question>\n<options>\nPlease select the correct answer from the options above.'),
    rec: {
      ...asIs('Can you point out <expr> in the image and provide the coordinates of its location?'),
      coordinates: 'shikra',
    },
    reg: {
      ...asIs('Please generate a distinguishing description for the region <boxes>.'),
      coordinates: 'shikra',
    },
  },
};

/** LLaVA-1.5 and models trained on its mixture: a suffix asks for the short form. */
const LLAVA: PromptSet = {
  name: 'llava',
  version: 1,
  prompts: {
    caption: asIs('Provide a one-sentence caption for the provided image.'),
    vqa: asIs(`<question>\n${SHORT}`),
    gqa: asIs(`<question>\n${SHORT}`),
    pope: asIs(`<question>\n${SHORT}`),
    mme: asIs(`<question>\n${SHORT}`),
    mmbench: asIs(`<hint>\n<question>\n<options>\n${LETTER}`),
    scienceqa: asIs(`Context: <hint>\n<question>\n<options>\n${LETTER}`),
    mmvp: asIs(`<question>\n<options>\n${LETTER}`),
    rec: {
      ...asIs('Please provide the bounding box coordinate of the region this sentence describes: <expr>.'),
      coordinates: 'square',
    },
    reg: { ...asIs('Please provide a short description for this region: <boxes>.'), coordinates: 'square' },
  },
};

/** Anything behind an endpoint: as LLaVA, but the frame of coordinates is explained. */
const GENERAL: PromptSet = {
  name: 'general',
  version: 1,
  prompts: {
    ...LLAVA.prompts,
    rec: { ...asIs('Find <expr> in the image.\n<frame>'), coordinates: 'square' },
    reg: {
      ...asIs('Write a short phrase that describes the region <boxes> of the image and fits no other region.'),
      coordinates: 'square',
    },
  },
};

/** The sets by name. */
export const PROMPT_SETS: ReadonlyMap<string, PromptSet> = new Map(
  [SHIKRA, LLAVA, GENERAL].map((set) => [set.name, set]),
);

/** The set that fits a model: Shikra's for pictures between start and end tokens in Vicuna's conversation, else LLaVA's. */
export function promptsFor({ imageTokens, conversation }: Pick<CommConfig, 'imageTokens' | 'conversation'>): PromptSet {
  return conversation === undefined && imageTokens.kind === 'wrapped' ? SHIKRA : LLAVA;
}

/** Placeholders that a template must have once, and may have. */
const PLACEHOLDERS: Readonly<
  Record<PromptName, { readonly needed: readonly string[]; readonly allowed?: readonly string[] }>
> = {
  caption: { needed: [] },
  vqa: { needed: ['question'] },
  gqa: { needed: ['question'] },
  pope: { needed: ['question'] },
  mme: { needed: ['question'] },
  mmbench: { needed: ['question', 'options'], allowed: ['hint'] },
  scienceqa: { needed: ['question', 'options'], allowed: ['hint'] },
  mmvp: { needed: ['question', 'options'] },
  rec: { needed: ['expr'], allowed: ['frame'] },
  reg: { needed: ['boxes'], allowed: ['frame'] },
};

const WITH_BOXES: ReadonlySet<string> = new Set(['rec', 'reg']);

const PromptFile = z.strictObject({
  name: z.string().min(1),
  version: z.int().positive(),
  /** The set that prompts come from which the file does not have. */
  base: z.enum(['shikra', 'llava', 'general']),
  prompts: z.partialRecord(
    z.enum(PROMPT_NAMES),
    z.strictObject({
      template: z.string().min(1),
      answer: z.enum(['as-is', 'the-answer-is']),
      coordinates: z.enum(COORDINATES).optional(),
    }),
  ),
});

/** A set by its name, or one read from a JSON file. @throws CommError that names what is wrong with the file */
export function loadPrompts(nameOrPath: string): PromptSet {
  const known = PROMPT_SETS.get(nameOrPath);
  if (known !== undefined) return known;
  const fail = (problem: string): CommError =>
    new CommError(`${nameOrPath}: ${problem}.`, {
      code: 'eval/prompts',
      exitCode: 2,
      fix: `Name one of the sets ${[...PROMPT_SETS.keys()].join(', ')}, or a JSON file {name, version, base, prompts}.`,
    });
  if (!existsSync(nameOrPath)) throw fail('there is no such set of prompts and no such file');
  const value: unknown = readJson(nameOrPath, { what: 'the prompts' });
  checkFields(PromptFile, value, nameOrPath, 'eval/prompts');
  const { name, version, base, prompts } = value;
  if (PROMPT_SETS.has(name)) throw fail(`the name "${name}" is that of a set we have`);
  for (const [key, prompt] of Object.entries(prompts)) {
    const problem = problemOf(key as PromptName, prompt as EvalPrompt);
    if (problem !== undefined) throw fail(`prompts.${key}: ${problem}`);
  }
  const filled = { ...PROMPT_SETS.get(base)!.prompts, ...(prompts as Partial<PromptSet['prompts']>) };
  return { name, version, prompts: filled };
}

function problemOf(name: PromptName, { template, coordinates }: EvalPrompt): string | undefined {
  const { needed, allowed = [] } = PLACEHOLDERS[name];
  const found = [...template.matchAll(/<(\w+)>/g)].map((match) => match[1]!);
  const unknown = found.find((word) => !needed.includes(word) && !allowed.includes(word));
  if (unknown !== undefined) return `nothing is known for <${unknown}>`;
  const missing = needed.find((word) => found.filter((other) => other === word).length !== 1);
  if (missing !== undefined) return `<${missing}> must be there once`;
  if (WITH_BOXES.has(name) && coordinates === undefined) return '"coordinates" is missing';
  if (!WITH_BOXES.has(name) && coordinates !== undefined) return '"coordinates" has no effect here';
  return undefined;
}

/** The same set with another frame of coordinates; `unit` keeps fractions as the set has them. */
export function withCoordinates(set: PromptSet, named: Coordinates | FrameName): PromptSet {
  const { rec, reg } = set.prompts;
  const isUnit = rec.coordinates !== 'thousandths' && rec.coordinates !== 'pixels';
  if (named === 'unit' && isUnit) return set;
  const frames: Readonly<Record<string, Coordinates>> = { unit: 'square', thousand: 'thousandths', pixel: 'pixels' };
  const coordinates = frames[named] ?? (named as Coordinates);
  return { ...set, prompts: { ...set.prompts, rec: { ...rec, coordinates }, reg: { ...reg, coordinates } } };
}

/** The question as it is asked. */
export function fillPrompt({ template, coordinates = 'shikra' }: EvalPrompt, { words, box, size }: EvalItem): string {
  const values: Record<string, string> = { ...words, frame: FRAME_SENTENCES[coordinates] };
  if (box !== undefined && size !== undefined) values['boxes'] = writeBox(box, size, coordinates);
  return template
    .split('\n')
    .filter((line) => [...line.matchAll(/<(\w+)>/g)].every(([, word]) => values[word as string] !== ''))
    .map((line) =>
      line.replace(/<(\w+)>/g, (_, word: string) => {
        const value = values[word];
        if (value === undefined) throw new RangeError(`no value for <${word}> in '${template}'`);
        return value;
      }),
    )
    .join('\n');
}

/** "So the answer is X.", "The answer is X.", "Answer: X." at the end of a text, which may give its reasons before. */
const ANSWER_FRAME = /^(?:.*[.!?]\s+)?(?:so\s+)?(?:the\s+)?answer(?:\s+is\s+|:\s*)(.+?)\s*\.?$/is;

/** An answer without white space at its ends and without its frame. */
export function unframed({ answer: form }: EvalPrompt, answer: string): string {
  const text = answer.trim();
  return form === 'the-answer-is' ? (ANSWER_FRAME.exec(text)?.[1] ?? text) : text;
}

/** What is handed to the scorer: the answer without its frame, and with boxes in the scorer's own frame. */
export function readAnswer(prompt: EvalPrompt, answer: string, { size }: EvalItem, reader: string): string {
  const bare = unframed(prompt, answer);
  if (prompt.coordinates === undefined || size === undefined) return bare;
  return rewriteBox(bare, size, prompt.coordinates, reader);
}
