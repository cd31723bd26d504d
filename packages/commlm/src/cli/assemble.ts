/** `commlm convert --recipe`: a COMM of published parts, which are downloaded when they are named by hub id. */
import { AssemblyRecipe } from '../config/assembly.js';
import { checkFields } from '../config/check-fields.js';
import { CommError } from '../config/errors.js';
import { nearestName } from '../config/json.js';
import { partName } from '../config/parts.js';
import { refuseInputAsOutput } from '../files/durable.js';
import { isValueFile, readValueFile } from '../files/value-file.js';
import { ASSEMBLIES } from '../recipes/index.js';
import { note, printJson, styleOf } from './output.js';
import { ensureModel } from './pull.js';

/** Options of `convert` that count with `--recipe`. */
export interface AssembleCommandOptions {
  readonly clip?: string;
  readonly dinov2?: string;
  readonly llm?: string;
  readonly dtype?: AssemblyRecipe['dtype'];
  readonly json?: boolean;
  readonly visionTower?: readonly string[];
  readonly base?: string;
  readonly delta?: string;
  readonly lora?: string;
}

const wrong = (message: string, fix: string): CommError =>
  new CommError(message, { code: 'cli/usage', fix, exitCode: 2 });

/** A recipe by name, or from a file: JSON, or a module that exports `recipe`. */
async function loadAssembly(name: string): Promise<AssemblyRecipe> {
  if (isValueFile(name)) {
    const recipe = await readValueFile(name, { exported: 'recipe', what: 'the recipe' });
    checkFields(AssemblyRecipe, recipe, name);
    return recipe;
  }
  const load = Object.hasOwn(ASSEMBLIES, name) ? ASSEMBLIES[name] : undefined;
  if (load !== undefined) return (await load()).recipe;
  const near = nearestName(name, Object.keys(ASSEMBLIES));
  const fix =
    near === undefined
      ? `Choose one of ${Object.keys(ASSEMBLIES).join(', ')}, or give a file (./my-parts.json).`
      : `Did you mean "${near}"?`;
  throw wrong(`There is no recipe "${name}" that puts a model together.`, fix);
}

/** Runs `commlm convert --recipe <name> <out>`. */
export async function assemble(
  name: string,
  out: string,
  extra: string | undefined,
  options: AssembleCommandOptions,
): Promise<void> {
  if (extra !== undefined) {
    throw wrong('With --recipe only the folder to write is named.', `As in: commlm convert --recipe ${name} ${extra}`);
  }
  for (const other of ['visionTower', 'base', 'delta', 'lora'] as const) {
    if (options[other] === undefined) continue;
    const flag = other === 'visionTower' ? 'vision-tower' : other;
    throw wrong(`--${flag} has no effect with --recipe.`, 'Name the parts with --clip, --dinov2 and --llm.');
  }
  const recipe = withChoices(await loadAssembly(name), options);
  const parts = [...recipe.encoders.map(({ from }) => from), recipe.languageModel];
  for (const part of parts) await ensureModel(part);
  const [{ assembleComm }, { resolveModelFolder }] = await Promise.all([
    import('../weights/assemble.js'),
    import('../hub/model-folder.js'),
  ]);
  const folders = parts.map((part) => resolveModelFolder(part));
  refuseInputAsOutput(out, folders);
  const { config, untrained, newRows } = await assembleComm(
    recipe,
    { encoders: folders.slice(0, -1), languageModel: folders.at(-1)! },
    out,
    { onNote: note },
  );
  if (options.json) {
    printJson({ out, recipe: name, parts, untrained, newRows, imageTokens: config.imageTokens, dtype: recipe.dtype });
    return;
  }
  const style = styleOf(process.stderr);
  note(style.yellow(`untrained, with fresh weights: ${untrained.map(partName).join(', ')}`));
  note(`${style.green('written:')} ${out}`);
}

function withChoices(recipe: AssemblyRecipe, { clip, dinov2, llm, dtype }: AssembleCommandOptions): AssemblyRecipe {
  const chosen = new Map(Object.entries({ clip, dinov2 }).filter(([, from]) => from !== undefined));
  for (const name of chosen.keys()) {
    if (recipe.encoders.some((encoder) => encoder.name === name)) continue;
    const names = recipe.encoders.map((encoder) => encoder.name).join(', ');
    throw wrong(
      `The recipe has no encoder "${name}", which --${name} is for; it has ${names}.`,
      `Leave --${name} out.`,
    );
  }
  return {
    ...recipe,
    encoders: recipe.encoders.map((encoder) => ({ ...encoder, from: chosen.get(encoder.name) ?? encoder.from })),
    languageModel: llm ?? recipe.languageModel,
    dtype: dtype ?? recipe.dtype,
  };
}
