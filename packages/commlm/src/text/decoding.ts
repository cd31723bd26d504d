/** How ids become text: the decoder of tokenizer.json, as far as it is one of the two kinds that BPE models have. */
import { field, readSteps, refuseKind, type Step } from './split/json-step.js';

/** Spaces that a decoder takes off the start. */
export type SpaceDrop = 'one' | 'first token' | 'none';

/** What the decoder does with tokens. */
export interface Decoding {
  /** Bytes as printable letters (GPT-2), or pieces with U+2581 for a space (Llama). */
  readonly spelling: 'byte-level' | 'metaspace';
  /** Whether `<0x41>` stands for a byte. */
  readonly byteFallback: boolean;
  /** What is taken off the start of a text: one space, every space of the first token, or nothing. */
  readonly drops: SpaceDrop;
}

const METASPACE = '\u2581';

/** Reads a decoder. @throws CommError `text/tokenizer-type` for one of another kind */
export function readDecoding(value: unknown): Decoding {
  const steps = readSteps(value, 'decoder', 'decoders');
  const types = steps.map(({ type }) => type);
  if (types.includes('ByteLevel')) {
    const other = steps.find(({ type }) => type !== 'ByteLevel' && type !== 'Fuse');
    if (other !== undefined) refuseKind(`a decoder of ByteLevel and ${other.type}`);
    return { spelling: 'byte-level', byteFallback: false, drops: 'none' };
  }
  if (!types.includes('Metaspace') && !types.includes('ByteFallback'))
    refuseKind(types.length === 0 ? 'no decoder' : `a decoder of ${types.join(' and ')}`);
  const drops = steps
    .map((step, i) => dropOf(step, types.slice(0, i).includes('Fuse')))
    .find((drop) => drop !== 'none');
  return { spelling: 'metaspace', byteFallback: types.includes('ByteFallback'), drops: drops ?? 'none' };
}

/** What a step takes off the start; a step that does anything else than those of Llama is refused. */
function dropOf(step: Step, fused: boolean): SpaceDrop {
  switch (step.type) {
    case 'ByteFallback':
    case 'Fuse':
      return 'none';
    case 'Replace': {
      const pattern = step['pattern'] as { String?: unknown } | undefined;
      if (pattern?.String !== METASPACE || step['content'] !== ' ') refuseKind('a decoder that replaces text');
      return 'none';
    }
    case 'Strip': {
      const [start, stop] = [field(step, 'start', 'number'), field(step, 'stop', 'number')];
      if (step['content'] !== ' ' || start > 1 || stop !== 0 || (start === 1 && !fused))
        refuseKind('a decoder that strips more than one space of a text');
      return start === 1 ? 'one' : 'none';
    }
    case 'Metaspace': {
      if (step['replacement'] !== METASPACE) refuseKind('a decoder with another letter for spaces');
      const scheme = step['prepend_scheme'] ?? (step['add_prefix_space'] === false ? 'never' : 'always');
      return scheme === 'never' ? 'none' : 'first token';
    }
    default:
      return refuseKind(`a decoder of ${step.type}`);
  }
}
