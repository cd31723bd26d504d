/** Opens encoders and language models that other libraries wrote, by the `model_type` of their config.json. */
export { type LoadedEncoder, loadHfEncoder } from './encoder-reader.js';
export type { LoadOptions } from './hf-config.js';
export { encoderToHf } from './hf-encoder.js';
/** The earlier name of `loadHfLanguageModel`, which reads every known `model_type`. */
export { loadHfLanguageModel as loadHfLlama } from './hf-language.js';
