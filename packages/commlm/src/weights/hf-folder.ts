/** Opens encoders and language models that other libraries wrote, by the `model_type` of their config.json. */
export { type LoadedEncoder, loadHfEncoder } from './encoder-reader.js';
export type { LoadOptions } from './files/hf-config.js';
export { encoderToHf } from './layouts/hf-encoder.js';
/** The earlier name of `loadHfLanguageModel`, which reads every known `model_type`. */
export { loadHfLanguageModel as loadHfLlama } from './layouts/hf-language.js';
