/** Names of the number formats of weights, and the one list of them; what each does is in weights/formats.ts. */

/** Every weight is a float of that kind. */
export const FLOAT_FORMATS = ['f32', 'bf16', 'f16'] as const;

/** The large matrices are kept in few bits. */
export const ENCODED_FORMATS = ['int8'] as const;

/** All formats. */
export const WEIGHT_FORMATS = [...FLOAT_FORMATS, ...ENCODED_FORMATS] as const;

/** Floats that training computes in: f16 overflows without a scaled loss. */
export const TRAINING_FORMATS = ['f32', 'bf16'] as const satisfies readonly FloatFormat[];

export type EncodedFormat = (typeof ENCODED_FORMATS)[number];
export type FloatFormat = (typeof FLOAT_FORMATS)[number];
export type WeightFormat = (typeof WEIGHT_FORMATS)[number];
export type TrainingFormat = (typeof TRAINING_FORMATS)[number];
