/** The parts of a model by the names that people use: `languageModel`, `projector`, `merge.0`, `align.1`, `encoder.0`. */
import { z } from 'zod';

/** Parts of a model that can train. */
export const PARTS = ['languageModel', 'projector', 'merge', 'align', 'encoder'] as const;
export type Part = (typeof PARTS)[number];

/** A part; `merge`, `align` and `encoder` mean those of all encoders, with an index (`encoder.0`) that of one. */
export const TrainedPart = z.union(
  [z.enum(PARTS), z.templateLiteral([z.enum(['merge', 'align', 'encoder']), '.', z.string().regex(/^\d+$/)])],
  { error: `expected one of ${PARTS.join(', ')}, or that of one encoder as "encoder.0"` },
);
export type TrainedPart = z.infer<typeof TrainedPart>;

/** The name of a part, or of something in it, without the place of its encoder: `merge.0.scale` -> `merge.scale`. */
export const withoutIndex = (name: string): string => name.replace(/^(merge|align|encoder)\.\d+(?=\.|$)/, '$1');

/** Whether a list of parts names `part`, for all encoders or for the one of place `index`. */
export const trainsPart = (trains: readonly TrainedPart[], part: Part, index?: number): boolean =>
  trains.some((name) => name === part || (index !== undefined && name === `${part}.${index}`));

/** Whether any encoder learns. */
export const trainsEncoders = (trains: readonly TrainedPart[]): boolean =>
  trains.some((name) => name.split('.')[0] === 'encoder');

/** Paths of the parts of an encoder in the model. */
const BRANCH_PARTS: Readonly<Record<string, Part>> = { vit: 'encoder', merge: 'merge', align: 'align' };

/** The name of what lies at a path of the model, such as `vision.encoders.1.align`; a path that is no part stays as it is. */
export function partName(path: string): string {
  if (path === 'language_model') return 'languageModel';
  const [, index, module = ''] = /^vision\.encoders\.(\d+)\.(vit|merge|align)$/.exec(path) ?? [];
  const part = BRANCH_PARTS[module];
  return part === undefined ? path : `${part}.${index}`;
}
