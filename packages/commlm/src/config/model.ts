/** The whole model as a value: encoders x levels x merge x alignment x projector x language model. COMM, LLaVA-1.5 and Shikra are presets of it. */
import { z } from 'zod';
import { LlamaConfig } from './language.js';
import { Activation, VisionConfig } from './vision.js';

export * from './json.js';
export * from './language.js';
export * from './vision.js';

/** Visual tokens -> width of the language model: one linear map (eq. 6), or `layers` linear maps with an activation between (LLaVA-1.5). */
export const ProjectorConfig = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('linear') }),
  z.strictObject({ kind: z.literal('mlp'), layers: z.int().min(2), act: Activation }),
]);
export type ProjectorConfig = z.infer<typeof ProjectorConfig>;

/**
 * Token ids that carry a picture (paper-notes 14).
 * `wrapped` (Shikra): start, N patch placeholders, end; start and end keep their learned embeddings.
 * `bare` (LLaVA-1.5): N patch placeholders only.
 */
export const ImageTokensConfig = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('wrapped'),
    patchId: z.int().nonnegative(),
    startId: z.int().nonnegative(),
    endId: z.int().nonnegative(),
  }),
  z.strictObject({ kind: z.literal('bare'), patchId: z.int().nonnegative() }),
]);
export type ImageTokensConfig = z.infer<typeof ImageTokensConfig>;

/** Parts of a model, which are the prefixes of its weights' names. */
const partNames = (numEncoders: number): string[] => [
  ...Array.from({ length: numEncoders }, (_, i) =>
    ['vit', 'merge', 'align'].map((part) => `vision.encoders.${i}.${part}`),
  ).flat(),
  'projector',
  'language_model',
];

/** `config.json` of a model folder. */
export const CommConfig = z
  .strictObject({
    modelType: z.literal('comm'),
    vision: VisionConfig,
    projector: ProjectorConfig,
    imageTokens: ImageTokensConfig,
    textConfig: LlamaConfig,
    /** Parts that still have their first random weights (`projector`, `vision.encoders.0.merge`); absent when none has. */
    untrained: z.array(z.string()).optional(),
  })
  .superRefine((config, ctx) => {
    const parts = partNames(config.vision.encoders.length);
    for (const [i, name] of (config.untrained ?? []).entries()) {
      if (parts.includes(name)) continue;
      const message = `there is no part '${name}'; the parts are ${parts.join(', ')}`;
      ctx.addIssue({ code: 'custom', path: ['untrained', i], message });
    }
    for (const [name, id] of Object.entries(config.imageTokens)) {
      if (typeof id === 'number' && id >= config.textConfig.vocabSize) {
        const message = `id ${id} is outside the vocabulary of ${config.textConfig.vocabSize}`;
        ctx.addIssue({ code: 'custom', path: ['imageTokens', name], message });
      }
    }
  });
export type CommConfig = z.infer<typeof CommConfig>;
