/**
 * commlm: COMM for everyone. The same as the command line, as typed functions; importing it does no work and loads
 * libtorch only with the first tensor.
 *
 * ```ts
 * import { loadModel } from 'commlm';
 *
 * using model = await loadModel();
 * const { answer, boxes } = await model.ask('photo.jpg', 'Find the dog in the image.');
 * ```
 */
export type { AssemblyEncoder, AssemblyRecipe } from './config/assembly.js';
export { CommError, type CommErrorOptions } from './config/errors.js';
export * from './config/model.js';
export * as presets from './config/presets.js';
export type { LoopConfig } from './config/train.js';
export { extractFeatures, type FeatureOptions, type Features } from './features/extract.js';
export { type Painting, paintLevels } from './features/paint.js';
export type {
  Answer,
  AnswerBox,
  AnswerDelta,
  Answerer,
  AnswerOptions,
  AskRequest,
  BatchAnswerer,
  DecodingSettings,
  PastTurn,
  PlainRequest,
  Timings,
  Usage,
} from './generate/answer.js';
export { type AnswerFileOptions, type AnswerFileSummary, answerFile } from './generate/answer-file.js';
export { ChatSession, type ChatTurn, type SaySettings } from './generate/chat.js';
export { type Decoder, LlamaDecoder } from './generate/decoder.js';
export {
  BatchEngine,
  type Engine,
  type FinishReason,
  type GenerateOptions,
  type GenerateRequest,
  type Prompt,
  type TokenEvent,
} from './generate/engine.js';
export { loadModel } from './generate/load.js';
export type { LoadOptions } from './generate/load-options.js';
export type { ModelIdentity } from './generate/model-identity.js';
export { PrefixCache } from './generate/prefix-cache.js';
export { type PictureTurn, type RenderedPrompt, renderPrompt } from './generate/prompt.js';
export { GREEDY, type Sampling } from './generate/sampling.js';
export { type AskSettings, CommSession } from './generate/session.js';
export { embeddedModelFolder } from './hub/model-folder.js';
export { type PullOptions, type PullResult, pullModel } from './hub/pull.js';
export { type DecodedImage, type DecodeOptions, decodeImage, type RgbImage } from './images/decode.js';
export { type DrawOptions, drawBoxes, encodePicture, type LabelledBox } from './images/draw.js';
export type { Picture, PictureSettings, PlainPicture } from './images/picture.js';
export { type PreprocessedImage, preprocess } from './images/preprocess.js';
export type { PictureFile } from './images/source.js';
export { inspectModel, type LevelWeights, type ModelPart, type ModelReport } from './inspect/inspect.js';
export { Comm } from './models/comm.js';
export { type FoundBox, findBoxes, formatBoxes, formatPoints, parseBoxes, parsePoints } from './text/boxes.js';
export { type ChatMessage, renderChatTemplate } from './text/chat-template.js';
export { Tokenizer } from './text/tokenizer.js';
export {
  exportCheckpoint,
  runTraining,
  type TrainingOptions,
  type TrainingResult,
} from './train/loop/loop.js';
export type { RecipeChange } from './train/loop/run-state.js';
export type { BatchFacts, BatchSource, Losses, TrainingTask } from './train/loop/training-task.js';
export { type AssembleOptions, type Assembly, type AssemblyFolders, assembleComm } from './weights/assemble.js';
export {
  type LoadCommOptions,
  loadCommFolder,
  type SaveCommOptions,
  saveCommFolder,
} from './weights/comm-folder.js';
export { type ConvertReport, type ConvertRequest, convertModel } from './weights/convert-model.js';
export { type GenerationSettings, readGenerationConfig } from './weights/files/generation-config.js';
export { encoderToHf, type LoadedEncoder, loadHfEncoder, loadHfLlama } from './weights/hf-folder.js';
export {
  type HfLanguageModel,
  hfLanguageModel,
  type LanguagePlace,
  languageModelTypes,
  loadHfLanguageModel,
} from './weights/layouts/hf-language.js';
export { type MergeOptions, mergeLora } from './weights/lora.js';
export { describeModel, openModel } from './weights/open-model.js';
export type { LoadedComm, OpenModelOptions, WholeModel } from './weights/whole-model.js';
