/** A training of COMM on the synthetic world as a value: what learns, what is asked, how much each answer counts. */
import { z } from 'zod';
import { CommConfig } from './model.js';
import { TurnType, WorldLook } from './world.js';

const path = z.string().min(1);
const count = z.int().nonnegative();
const weight = z.number().nonnegative();

/** How often each kind of question is asked (relative), and the share of pictures that come with one long conversation. */
export const TaskMix = z.strictObject({
  types: z.partialRecord(TurnType, weight),
  conversationShare: z.number().min(0).max(1),
  /** How much the one word of a yes or no counts; the other words of its sentence are the same in every answer. */
  yesNoWeight: weight,
  /**
   * Weight of naming what a patch shows from its visual token alone, 0 for not at all. The visual tokens then lie in the
   * space of the (tied) word embeddings, so that a word of a question finds the patches it means by likeness.
   */
  patchNameWeight: weight,
  /**
   * Weight of telling from a visual token alone where its patch lies and where the thing on it ends, 0 for not at all. The
   * last levels of the towers hardly know their place (a linear probe finds the column of one patch in four); the first ones do.
   */
  patchPlaceWeight: weight,
  /**
   * Words asked for alone, a picture: nouns right behind it, each of which is to say yes or no at its own place, and the
   * nouns of existence questions likewise. An answer gets to know of a thing over two steps of attention, from the patch
   * to the word and from the word to the answer, and neither is worth learning without the other; this teaches the first.
   */
  wordProbes: count,
  /** Like `wordProbes`, for where a thing is: `left`, `top`, `right` or `bottom` and a noun, to answer with the first two digits of that edge. */
  edgeProbes: count,
  /** Nats that a digit counts for each step that it is expected to be off (`NumberLoss`), 0 for cross-entropy alone. */
  numberWeight: weight,
  /** Rows a batch beside those of its pictures, each about two of them shown together. */
  pairRows: count,
});
export type TaskMix = z.infer<typeof TaskMix>;

/** What of a model can learn: a tower by its type, what lies between towers and language model, the language model. */
export const TrainedPart = z.enum(['clip', 'dinov2', 'fusion', 'projector', 'languageModel']);
export type TrainedPart = z.infer<typeof TrainedPart>;

/** Settings of a training on the world. */
export const CommTrainConfig = z.strictObject({
  model: CommConfig,
  /** What learns; all else is frozen, and towers among it run without a graph. */
  trains: z.array(TrainedPart).min(1).readonly(),
  /** Folders of the finished towers, in the order of the encoders; not read when `from` is given. */
  encoders: z.array(path).readonly(),
  /** Model folder that the training starts from, or null for fresh weights. */
  from: path.nullable(),
  tokenizer: path,
  /** Questions packed behind one picture; with 0 only the patches are named, without the blocks of the language model. */
  questions: count,
  mix: TaskMix,
  world: WorldLook,
});
export type CommTrainConfig = z.infer<typeof CommTrainConfig>;
