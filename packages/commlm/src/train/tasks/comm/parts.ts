/** The parts of a model by the names that people use: `languageModel`, `projector`, `merge.0`, `align.1`, `encoder.0`. */
import type { nn } from '@commlm/torch';
import type { CommTrainConfig } from '../../../config/comm-train.js';
import { CommError } from '../../../config/errors.js';
import { PARTS, type Part, trainsPart } from '../../../config/parts.js';
import type { Comm } from '../../../models/comm.js';

/** A part, and the names that mean it. */
interface NamedPart {
  readonly name: string;
  readonly part: Part;
  /** The encoder it belongs to. */
  readonly index?: number;
  readonly module: nn.Module;
}

/** All parts with weights: a merge that only picks a level, or no alignment, has none. */
function partsOf({ vision, projector, languageModel }: Comm): NamedPart[] {
  const branches = vision.encoders.flatMap(({ vit, merge, align }, index): NamedPart[] => [
    { name: `encoder.${index}`, part: 'encoder', index, module: vit },
    { name: `merge.${index}`, part: 'merge', index, module: merge },
    { name: `align.${index}`, part: 'align', index, module: align },
  ]);
  const parts: NamedPart[] = [
    ...branches,
    { name: 'projector', part: 'projector', module: projector },
    { name: 'languageModel', part: 'languageModel', module: languageModel },
  ];
  return parts.filter(({ module }) => module.numParameters() > 0);
}

/** The parts that a training learns and those that it only uses, by name. */
export interface SplitParts {
  readonly trained: Map<string, nn.Module>;
  readonly frozen: Map<string, nn.Module>;
}

/**
 * Lets what `trains` lists take gradients and splits the parts. Their order is that in which norms of gradients are added up
 * and checkpoints are written: on the world as the picture goes, on data sets the language model first.
 */
export function splitParts(
  model: Comm,
  { trains, lora, data }: Pick<CommTrainConfig, 'trains' | 'lora'> & { data: { kind: 'world' | 'mixture' } },
): SplitParts {
  const parts = partsOf(model);
  const known = new Set(parts.flatMap(({ name, part }) => [name, part as string]));
  // Of a model without alignment, `align` is nothing; `encoder.2` of two encoders is a mistake.
  const missing = trains.find((name) => name.includes('.') && !known.has(name));
  if (missing !== undefined) {
    throw new CommError(`comm.trains lists ${missing}, which the model does not have.`, {
      code: 'train/parts',
      fix: `Its parts are ${parts.map(({ name }) => name).join(', ')}.`,
      exitCode: 2,
    });
  }
  const ordered =
    data.kind === 'world' ? parts : PARTS.flatMap((wanted) => parts.filter(({ part }) => part === wanted));
  const split: SplitParts = { trained: new Map(), frozen: new Map() };
  for (const { name, part, index, module } of ordered) {
    const learns = trainsPart(trains, part, index);
    if (learns) module.requiresGrad_(true);
    const adapted = part === 'languageModel' && lora !== null;
    split[learns || adapted ? 'trained' : 'frozen'].set(name, module);
  }
  return split;
}

/** In checkpoints of trainings on the world, what belongs to an encoder is named by its path in the model. */
const WORLD_KEYS = { encoder: 'vit', merge: 'merge', align: 'align' } as const;

/** The key of a parameter in the checkpoints of a training on the world. */
export const worldKey = (name: string): string =>
  name.replace(
    /^(encoder|merge|align)\.(\d+)\./,
    (_, part: keyof typeof WORLD_KEYS, index: string) => `vision.encoders.${index}.${WORLD_KEYS[part]}.`,
  );
