/**
 * The weights of a LoRA adapter's folder: the factors, and what LLaVA's trainer lays beside them (`non_lora_trainables.bin`,
 * tensors that were trained whole). Another file of tensors there is refused by name: leaving it out would change answers.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CommError } from '../../config/errors.js';
import { WeightFiles } from './weight-files.js';

/** One of these holds the factors; the first is preferred, as in peft. */
const FACTORS = ['adapter_model.safetensors', 'adapter_model.bin'];
const WHOLE = ['non_lora_trainables.safetensors', 'non_lora_trainables.bin'];
const IS_TENSORS = /\.(safetensors|bin|pt|pth|ckpt)$/;
/** What trainers keep to go on with: the state of the optimiser, random numbers, arguments. */
const TRAINING_STATE = /^(optimizer|scheduler|scaler|rng_state|random_states|training_args|trainer_state)/;

/** Open weights of an adapter. */
export interface AdapterFiles {
  readonly factors: WeightFiles;
  /** Tensors that were trained beside the adapter. */
  readonly whole: WeightFiles | undefined;
  close(): void;
}

/** Opens them; throws a CommError where there are none, and for files of tensors that are not known. */
export function openAdapterFiles(folder: string): AdapterFiles {
  const names = readdirSync(folder);
  const name = FACTORS.find((candidate) => names.includes(candidate));
  if (name === undefined) {
    throw new CommError(`There are no weights in the adapter ${folder} (${FACTORS[0]} is missing).`, {
      code: 'weights/missing-file',
      fix: 'Get the adapter again.',
    });
  }
  const isKnown = (file: string): boolean =>
    FACTORS.includes(file) || WHOLE.includes(file) || TRAINING_STATE.test(file);
  const stray = names.filter((file) => IS_TENSORS.test(file) && !isKnown(file)).sort()[0];
  if (stray !== undefined) {
    throw new CommError(`${join(folder, stray)} lies beside the adapter, and how to use it is not known.`, {
      code: 'lora/beside',
      fix: 'Move it away if the adapter is whole without it, or merge it with the program that wrote it.',
    });
  }
  const beside = WHOLE.map((file) => join(folder, file)).find((path) => existsSync(path));
  const factors = WeightFiles.open(join(folder, name));
  const whole = beside === undefined ? undefined : WeightFiles.open(beside);
  return {
    factors,
    whole,
    close: () => {
      factors.close();
      whole?.close();
    },
  };
}
