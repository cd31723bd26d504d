/** The files that a recipe learns from: what a run that goes on has to find as it left them. */
import type { PictureStoreConfig } from '../../config/data.js';
import type { DataSetConfig } from '../../config/data-sets.js';
import { setsOf } from '../../config/mixture.js';
import type { ClassData, PictureData, TextData } from '../../config/pretrain.js';
import type { Recipe } from '../../config/recipe.js';
import type { DataConfig, StageConfig } from '../../config/stage.js';
import { expandBraces } from '../../data/stores/tar.js';

/** What is looked at, and how closely. */
export type DataSource =
  /** Annotations and texts: every byte. */
  | { readonly kind: 'file'; readonly path: string }
  /** A file of pictures: every byte of a small one, stretches of a large one. */
  | { readonly kind: 'archive'; readonly path: string }
  /** All files of a folder: names and sizes, and the bytes of as many as there is time for. */
  | { readonly kind: 'folder'; readonly path: string }
  /** Pictures that samples of a set show, from a folder that may hold others. */
  | { readonly kind: 'pictures'; readonly set: string; readonly store: string };

/** The sources of a recipe, each once; `data` is what the sets of `pictures` are opened by. */
export interface RecipeData {
  readonly sources: readonly DataSource[];
  readonly data?: Pick<DataConfig, 'sets' | 'stores'>;
}

/** What a recipe reads; nothing for one that draws its data itself. */
export function dataOf(recipe: Recipe): RecipeData {
  switch (recipe.kind) {
    case 'stage':
      return stageData(recipe.stage);
    case 'clip': {
      const { data } = recipe.clip;
      if (data.kind === 'world') return NONE;
      const { pictures } = data;
      const shown: DataSource[] =
        pictures.kind === 'folder' ? [{ kind: 'folder', path: pictures.folder }] : archivesOf(pictures);
      return { sources: [file(data.file), ...shown] };
    }
    case 'dinov2':
      return { sources: folderOf(recipe.dinov2.data) };
    case 'mae':
      return { sources: folderOf(recipe.mae.data) };
    case 'deit': {
      const { data, held } = recipe.deit;
      return { sources: unique([...folderOf(data), ...(held === null ? [] : folderOf(held.data))]) };
    }
    case 'lm': {
      const { data, held } = recipe.lm;
      return { sources: unique([...textsOf(data), ...(held === null ? [] : textsOf(held.data))]) };
    }
    case 'comm':
    case 'tokenizer':
      return NONE;
  }
}

const NONE: RecipeData = { sources: [] };

const file = (path: string): DataSource => ({ kind: 'file', path });

const unique = (sources: readonly DataSource[]): DataSource[] => [
  ...new Map(sources.map((source) => [JSON.stringify(source), source])).values(),
];

function folderOf(data: PictureData | ClassData): DataSource[] {
  return data.kind === 'world' ? [] : [{ kind: 'folder', path: data.folder }];
}

function textsOf(data: TextData): DataSource[] {
  return data.kind === 'world' ? [] : data.files.map(file);
}

function stageData({ data, held }: StageConfig): RecipeData {
  const names = [...new Set([data.mix, ...(held === null ? [] : [held.mix])].flatMap(setsOf))];
  const sources = names.flatMap((name): DataSource[] => {
    const set = data.sets[name];
    const store = set === undefined ? undefined : data.stores[set.store];
    if (set === undefined || store === undefined) return [];
    const shown: DataSource[] =
      store.kind === 'folder' ? [{ kind: 'pictures', set: name, store: set.store }] : archivesOf(store);
    return [...filesOf(set), ...shown];
  });
  return { sources: unique(sources), data };
}

/** Fields of a set that name a file, and those that name a folder of small files. */
const FILE_FIELDS = [
  ...['file', 'refs', 'instances', 'regions', 'imageData', 'questions', 'annotations', 'sceneGraphs', 'scenes', 'ids'],
  'excludeImages',
];

function filesOf(set: DataSetConfig): DataSource[] {
  const fields = set as Readonly<Record<string, unknown>>;
  const files = FILE_FIELDS.flatMap((name) => (typeof fields[name] === 'string' ? [file(fields[name])] : []));
  const folders = set.kind === 'flickr-entities' ? ENTITY_FOLDERS.map((name) => `${set.folder}/${name}`) : [];
  if (set.kind === 'vcr' && set.metadata !== undefined) folders.push(set.metadata);
  const templates = 'templates' in set && set.templates?.kind === 'file' ? [file(set.templates.file)] : [];
  return [...files, ...templates, ...folders.map((path): DataSource => ({ kind: 'folder', path }))];
}

const ENTITY_FOLDERS = ['Sentences', 'Annotations'] as const;

function archivesOf(store: Exclude<PictureStoreConfig, { kind: 'folder' }>): DataSource[] {
  const paths = 'file' in store ? [store.file] : store.files.flatMap(expandBraces);
  return paths.map((path) => ({ kind: 'archive', path }));
}
