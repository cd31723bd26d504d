/** Which files of a repository are downloaded: what a model needs, or what --include and --exclude say. */

/** Patterns as Python's hub client reads them: `*` matches `/` too, `?` one character, a `/` at the end means all below. */
export interface Patterns {
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
}

/** A pattern of fnmatch as a regular expression over whole paths. */
export function globToRegExp(pattern: string): RegExp {
  const glob = pattern.endsWith('/') ? `${pattern}*` : pattern;
  let source = '';
  for (let i = 0; i < glob.length; i++) {
    const letter = glob[i]!;
    const close = letter === '[' ? glob.indexOf(']', glob[i + 1] === '!' ? i + 3 : i + 2) : -1;
    if (letter === '*') source += '.*';
    else if (letter === '?') source += '.';
    else if (close > 0) {
      const set = glob
        .slice(i + 1, close)
        .replaceAll('\\', '\\\\')
        .replaceAll('[', '\\[')
        .replace(/^\^/, '\\^');
      source += `[${set.startsWith('!') ? `^${set.slice(1)}` : set}]`;
      i = close;
    } else source += letter.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  }
  return new RegExp(`^${source}$`, 's');
}

/** Folders that hold the model a second time, or what training left behind. */
const OTHER_FOLDERS = /^(onnx|openvino|original|coreml|gguf|runs|logs|checkpoint-\d+|global_step\d+|\.git)\//;
/** Tensors that LLaVA's trainer lays beside an adapter, which is not whole without them. */
const BESIDE_ADAPTER = /^non_lora_trainables\.(safetensors|bin)$/;
/** Training state, which no model needs to run. */
const TRAINING_STATE = /^(optimizer|scheduler|training_args|trainer_state|rng_state|scaler|random_states)/;
/** The same weights again in another number format or another library's naming. */
const SECOND_COPY = /^(consolidated|open_clip_)|\.(fp16|bf16|fp32|int8)\./;
const TEXT = /\.(json|jinja|model|tiktoken|txt|spm|vocab)$/;
const CARD = /^(README\.md|LICENSE(\.\w+)?|NOTICE(\.\w+)?|USE_POLICY\.md)$/i;

const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
const isNested = (path: string): boolean => path.includes('/');

/** The first group of candidates that is not empty. */
const firstOf = (...groups: string[][]): string[] => groups.find((group) => group.length > 0) ?? [];

/** The weight files to take: safetensors before torch files, the top folder before others, one copy of each. */
function selectWeights(paths: readonly string[]): string[] {
  const ofKind = (pattern: RegExp): string[] => {
    const all = paths.filter((path) => {
      const name = baseName(path);
      return pattern.test(path) && !TRAINING_STATE.test(name) && !BESIDE_ADAPTER.test(name);
    });
    const top = all.filter((path) => !isNested(path));
    const place = top.length > 0 ? top : all;
    return firstOf(
      place.filter((path) => !SECOND_COPY.test(baseName(path))),
      place,
    );
  };
  return firstOf(ofKind(/\.safetensors$/), ofKind(/\.bin$/), ofKind(/\.(pt|pth)$/));
}

/** The files that a model needs: configs, tokenizer, template, card, and its weights once. */
function selectDefault(paths: readonly string[]): string[] {
  const candidates = paths.filter((path) => !OTHER_FOLDERS.test(path));
  const weights = new Set(selectWeights(candidates));
  const torchOnly = [...weights].some((path) => !path.endsWith('.safetensors'));
  return candidates.filter((path) => {
    const name = baseName(path);
    if (weights.has(path) || BESIDE_ADAPTER.test(name)) return true;
    if (TRAINING_STATE.test(name)) return false;
    if (name.endsWith('.bin.index.json')) return torchOnly;
    return TEXT.test(name) || CARD.test(name);
  });
}

/** The paths to download, in their order; without `include` the files that a model needs. */
export function selectFiles(paths: readonly string[], { include, exclude = [] }: Patterns = {}): string[] {
  const wanted = include?.map(globToRegExp);
  const unwanted = exclude.map(globToRegExp);
  const chosen = wanted ? paths.filter((path) => wanted.some((glob) => glob.test(path))) : selectDefault(paths);
  return chosen.filter((path) => !unwanted.some((glob) => glob.test(path)));
}
