/** The models for photographs that the commands recommend, with what a download costs and allows. */

/** Models for photographs that are read as they are published. */
export const PHOTO_MODELS = [
  // 7.06 billion parameters in f16.
  { id: 'llava-hf/llava-1.5-7b-hf', size: '14.1 GB', licence: 'Llama 2 licence' },
  // About 0.9 billion parameters in f16.
  { id: 'llava-hf/llava-interleave-qwen-0.5b-hf', size: '1.8 GB', licence: 'Qwen research licence' },
] as const;

/** The commands that download them: `commlm pull ID (size, licence)`. */
export const photoModelCommands = (): string[] =>
  PHOTO_MODELS.map(({ id, size, licence }) => `commlm pull ${id} (${size}, ${licence})`);
