/**
 * Pictures by their index, without end: scenes of the world, or files of a folder in another order each epoch. A pure function
 * of the index, so that a resumed run sees what it would have seen. Runs in the data thread.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CommError } from '../../config/errors.js';
import type { ClassData, DinoConfig, PictureData, WorldData } from '../../config/pretrain.js';
import { pictureError, reasonOf } from '../../data/fault.js';
import {
  loadSpriteBank,
  Random,
  redrawScene,
  renderPadded,
  type Scene,
  type Split,
  worldItem,
} from '../../data/world/index.js';
import { decodeImage, type RgbImage } from '../../images/decode.js';
import { EpochOrder } from './epoch-order.js';

/** A decoded picture and what is known of it. */
export interface SourcePicture {
  /** Its file, or which scene of the world it is. */
  readonly name: string;
  readonly image: RgbImage;
  /** The same scene drawn again, where that was asked for. */
  readonly again: RgbImage | null;
  /** What a picture of the world shows, in pixels of it. */
  readonly scene: Scene | null;
  /** The place of its folder among the classes. */
  readonly label: number | null;
  /** Pictures that came before it in the order and cannot be read. */
  readonly broken: readonly string[];
}

/** Pictures by their place in an endless order. */
export interface PictureSource {
  /** Classes of a labelled folder. */
  readonly numClasses: number | null;
  picture(index: number): Promise<SourcePicture>;
}

const PICTURE_NAME = /\.(?:jpe?g|png|webp|gif|tiff?|avif)$/i;
/** Broken pictures in a row before it is no longer a matter of single files. */
const MAX_IN_A_ROW = 100;

/** Which scenes of the world are drawn, and whether twice (`redrawScene`). */
export interface SceneChoice {
  /** Default train. */
  readonly split?: Split;
  readonly redraw?: DinoConfig['redraw'];
}

/** Opens the pictures of a recipe; scenes of the world lie on squares of `side`. @throws CommError for a folder without pictures. */
export async function openPictures(
  data: PictureData | ClassData,
  side: number,
  scenes: SceneChoice = {},
): Promise<PictureSource> {
  if (data.kind === 'world') return openWorld(data, side, scenes);
  const files = data.kind === 'pictures' ? await listPictures(data.folder) : await listClasses(data.folder);
  const numClasses = data.kind === 'pictures' ? null : new Set(files.map(({ label }) => label)).size;
  const order = new EpochOrder(files.length, data.seed);
  return {
    numClasses,
    picture: (index) =>
      firstReadable(index, async (at) => {
        const { path, label } = files[order.place(at)]!;
        return { name: path, image: await decodeImage(path), again: null, scene: null, label };
      }),
  };
}

/** The picture at `index`, or the first behind it that can be read. */
export async function firstReadable(
  index: number,
  read: (index: number) => Promise<Omit<SourcePicture, 'broken'>>,
): Promise<SourcePicture> {
  const broken: string[] = [];
  for (let at = index; ; at++) {
    try {
      return { ...(await read(at)), broken };
    } catch (error) {
      if (!(error instanceof CommError)) throw error;
      broken.push(error.message);
      if (broken.length > MAX_IN_A_ROW) throw error;
    }
  }
}

async function openWorld(
  { seed, style, augment }: WorldData,
  side: number,
  { split = 'train', redraw = null }: SceneChoice,
): Promise<PictureSource> {
  const bank = await loadSpriteBank();
  const onSquare = (data: Uint8Array): RgbImage => ({ width: side, height: side, data });
  const drawAgain = (scene: Scene, { shift, augment: strength }: NonNullable<DinoConfig['redraw']>): RgbImage => {
    const augmentSeed = new Random(scene.seed, 'augment/again').uint32();
    return onSquare(renderPadded(redrawScene(scene, { bank, shift }), bank, side, { augment: strength, augmentSeed }));
  };
  return {
    numClasses: null,
    picture: async (index) => {
      const { scene, pixels } = worldItem(index, { bank, seed, side, style, augment, split });
      const again = redraw === null ? null : drawAgain(scene, redraw);
      return { name: `scene ${index}`, image: onSquare(pixels), again, scene, label: null, broken: [] };
    },
  };
}

interface PictureFile {
  readonly path: string;
  readonly label: number | null;
}

async function listPictures(folder: string): Promise<PictureFile[]> {
  const files = (await filesBelow(folder)).map((path) => ({ path, label: null }));
  if (files.length === 0) throw withoutPictures(folder);
  return files;
}

async function listClasses(folder: string): Promise<PictureFile[]> {
  const classes = (await entriesOf(folder)).filter((entry) => entry.isDirectory()).map(({ name }) => name);
  if (classes.length === 0) throw withoutPictures(folder, 'It has no folder for a class in it.');
  const lists = await Promise.all(
    classes.map(async (name, label) => {
      const paths = await filesBelow(join(folder, name));
      if (paths.length === 0) throw withoutPictures(join(folder, name));
      return paths.map((path) => ({ path, label }));
    }),
  );
  return lists.flat();
}

async function filesBelow(folder: string): Promise<string[]> {
  const paths: string[] = [];
  for (const entry of await entriesOf(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) paths.push(...(await filesBelow(path)));
    else if (PICTURE_NAME.test(entry.name)) paths.push(path);
  }
  return paths;
}

/** Entries in the order of their names, the same on every system. */
async function entriesOf(folder: string) {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    throw pictureError(folder, reasonOf(error), { fix: 'Check the path.', cause: error });
  }
}

const withoutPictures = (folder: string, why = 'It holds no pictures (JPEG, PNG, WebP, GIF, TIFF, AVIF).'): CommError =>
  pictureError(folder, why, { fix: 'Name the folder of the training pictures.' });
