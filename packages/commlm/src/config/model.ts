/** The whole model as a value: encoders x levels x merge x alignment x projector x language model. COMM, LLaVA-1.5 and Shikra are presets of it. */
import { z } from 'zod';
import { ConversationConfig } from './conversation.js';
import { ENCODED_FORMATS } from './formats.js';
import { LlamaConfig } from './language.js';
import { Activation, fusedShape, VisionConfig } from './vision.js';

export * from './conversation.js';
export * from './json.js';
export * from './language.js';
export * from './vision.js';

const positiveInt = z.int().positive();

/**
 * Visual tokens -> width of the language model. `linear`: one map (eq. 6). `mlp`: `layers` linear maps with an activation
 * between, the language model's width inside (LLaVA-1.5) unless `widths` names the inner ones (Prismatic). `pixel-shuffle`:
 * `factor` x `factor` neighbours become one wider token, then one map (nanoVLM). Maps have a bias unless `bias` is false.
 */
export const ProjectorConfig = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('linear').describe('One linear map (eq. 6 of the paper).'),
    bias: z.boolean().optional().describe('Whether the map has a bias; true when absent.'),
  }),
  z.strictObject({
    kind: z.literal('mlp').describe('Linear maps with an activation between (LLaVA-1.5).'),
    layers: z.int().min(2).max(16).describe('Number of linear maps.'),
    act: Activation.describe('Activation between them.'),
    bias: z.boolean().optional().describe('Whether the maps have a bias; true when absent.'),
    widths: z.array(positiveInt).optional().describe('Inner widths; that of the language model when absent.'),
  }),
  z.strictObject({
    kind: z.literal('pixel-shuffle').describe('Neighbouring tokens become one wider token, then one map (nanoVLM).'),
    factor: z.int().min(2).describe('Side of the square of neighbours.'),
    bias: z.boolean().optional().describe('Whether the map has a bias; true when absent.'),
  }),
]);
export type ProjectorConfig = z.infer<typeof ProjectorConfig>;

/**
 * Token ids that carry a picture (paper-notes 14).
 * `wrapped` (Shikra): start, N patch placeholders, end; start and end keep their learned embeddings.
 * `bare` (LLaVA-1.5): N patch placeholders only. Their id may lie outside the vocabulary, where a model has no such token:
 * it marks the place and is never looked up.
 */
export const ImageTokensConfig = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('wrapped').describe('Start, patch placeholders, end (Shikra).'),
    patchId: z.int().nonnegative().describe('Token whose places the visual tokens are written over.'),
    startId: z.int().nonnegative().describe('Token in front of a picture.'),
    endId: z.int().nonnegative().describe('Token behind a picture.'),
  }),
  z.strictObject({
    kind: z.literal('bare').describe('Patch placeholders only (LLaVA-1.5).'),
    patchId: z
      .int()
      .nonnegative()
      .describe('Token whose places the visual tokens are written over; it may lie outside the vocabulary.'),
  }),
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

/**
 * How the weights of a folder are stored where they are not floats. `int8`: every matrix of the vision towers' blocks and of
 * the language model is `i8[out, in]` with `scale: bf16[out]` beside it; the rest is bf16 (weights/quantise.ts).
 */
export const QuantizationConfig = z.strictObject({
  kind: z.literal(ENCODED_FORMATS).describe('Encoding of the large matrices.'),
});
export type QuantizationConfig = z.infer<typeof QuantizationConfig>;

/** `config.json` of a model folder. */
export const CommConfig = z
  .strictObject({
    modelType: z.literal('comm').describe('Always `comm`.'),
    vision: VisionConfig.describe('Encoders, and how their tokens meet.'),
    projector: ProjectorConfig.describe('From visual tokens to the width of the language model.'),
    imageTokens: ImageTokensConfig.describe('Tokens that carry a picture.'),
    textConfig: LlamaConfig.describe('The language model.'),
    untrained: z
      .array(z.string())
      .optional()
      .describe(
        'Parts that still have their first random weights (`projector`, `vision.encoders.0.merge`); absent when none has.',
      ),
    conversation: ConversationConfig.optional().describe(
      "How questions are spelled; Vicuna's way, as Shikra and COMM have it, when absent.",
    ),
    quantization: QuantizationConfig.optional().describe('How the weights are stored where they are not floats.'),
  })
  .superRefine((config, ctx) => {
    const fail = (path: string[], message: string): void => ctx.addIssue({ code: 'custom', path, message });
    const { imageTokens, projector, textConfig, vision } = config;
    const parts = partNames(vision.encoders.length);
    for (const name of config.untrained ?? []) {
      if (!parts.includes(name)) fail(['untrained'], `there is no part '${name}'; the parts are ${parts.join(', ')}`);
    }
    for (const [name, id] of imageTokens.kind === 'wrapped' ? Object.entries(imageTokens) : []) {
      if (typeof id === 'number' && id >= textConfig.vocabSize) {
        fail(['imageTokens', name], `id ${id} is outside the vocabulary of ${textConfig.vocabSize}`);
      }
    }
    if (
      projector.kind === 'mlp' &&
      projector.widths !== undefined &&
      projector.widths.length !== projector.layers - 1
    ) {
      fail(['projector', 'widths'], `${projector.layers} layers have ${projector.layers - 1} inner widths`);
    }
    if (projector.kind === 'pixel-shuffle') {
      const { tokens } = fusedShape(vision);
      const side = Math.round(Math.sqrt(tokens));
      if (side * side !== tokens || side % projector.factor !== 0) {
        fail(['projector', 'factor'], `${tokens} visual tokens are no square of a multiple of ${projector.factor}`);
      }
    }
  });
export type CommConfig = z.infer<typeof CommConfig>;

/** Visual tokens of one picture as the language model sees them. */
export function tokensPerImage({ vision, projector }: Pick<CommConfig, 'vision' | 'projector'>): number {
  const { tokens } = fusedShape(vision);
  return projector.kind === 'pixel-shuffle' ? tokens / projector.factor ** 2 : tokens;
}
