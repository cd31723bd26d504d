/** Pictures of folders in the order of training, cuts of them, and changes of colour. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { nn } from '@commlm/torch';
import sharp from 'sharp';
import { Random } from '../../data/world/index.js';
import { RECIPES } from '../../recipes/index.js';
import { parameterGroups, trainedParameters } from '../loop/parameter-groups.js';
import type { TrainingTask } from '../loop/training-task.js';
import { loadRecipe } from '../recipe.js';
import { ClipTask } from '../tasks/clip-task.js';
import { createBatcher, type DeitBatch } from '../tasks/deit-batches.js';
import { DeitTask } from '../tasks/deit-task.js';
import { createBatcher as createDinoBatcher } from '../tasks/dino-batches.js';
import { DinoTask } from '../tasks/dino-task.js';
import { LmTask } from '../tasks/lm-task.js';
import { MaeTask } from '../tasks/mae-task.js';
import { smallDeit, smallDino } from '../tasks/pretrain-samples.fixture.js';
import { blur, dinoColours, jitter, solarise, threeAugment, toGrey, turnHue } from './colours.js';
import { cutWindow, drawSquare, drawWindow, simpleCut } from './crops.js';
import { openPictures } from './picture-source.js';

const root = mkdtempSync(join(tmpdir(), 'commlm-pictures-'));
after(() => rmSync(root, { recursive: true, force: true }));

/** Shades of grey by class: a/ 0, 10, 20; b/ 100, 110, and a file that is no picture. */
before(async () => {
  for (const [name, shades] of Object.entries({ a: [0, 10, 20], 'b/below': [100, 110] })) {
    mkdirSync(join(root, name), { recursive: true });
    for (const shade of shades) {
      const background = { r: shade, g: shade, b: shade };
      const image = sharp({ create: { width: 50, height: 40, channels: 3, background } });
      await image.toFile(join(root, name, `${String(shade).padStart(3, '0')}.png`));
    }
  }
  writeFileSync(join(root, 'b', 'broken.JPEG'), 'not a picture');
  writeFileSync(join(root, 'b', 'notes.txt'), 'none of them');
});

const folder = { folder: root, seed: 4, workers: 1, maxBroken: 3 };

test('every picture comes once an epoch, in another order each time', async () => {
  const source = await openPictures({ kind: 'pictures', ...folder }, 32);
  const shades = async (epoch: number): Promise<number[]> => {
    const pictures = await Promise.all([0, 1, 2, 3, 4, 5].map((i) => source.picture(6 * epoch + i)));
    assert.equal(pictures.flatMap(({ broken }) => broken).length, 1);
    return pictures.map(({ image }) => image.data[0] as number);
  };
  const [first, again, second] = [await shades(0), await shades(0), await shades(1)];
  assert.deepEqual(again, first);
  assert.deepEqual(new Set(first), new Set([0, 10, 20, 100, 110]));
  assert.notDeepEqual(second, first);
  const other = await openPictures({ kind: 'pictures', ...folder, seed: 5 }, 32);
  const order = await Promise.all(
    [0, 1, 2, 3, 4, 5].map(async (i) => (await other.picture(i)).image.data[0] as number),
  );
  assert.notDeepEqual(order, first);
});

test('folders are classes in the order of their names', async () => {
  const source = await openPictures({ kind: 'classes', ...folder }, 32);
  assert.equal(source.numClasses, 2);
  for (let i = 0; i < 6; i++) {
    const { image, label } = await source.picture(i);
    assert.equal(label, (image.data[0] as number) >= 100 ? 1 : 0);
  }
  const options = { ...smallDeit({ numClasses: 2 }), batchSize: 3, side: 32, augment: false };
  const batch = (await (await createBatcher({ ...options, data: { kind: 'classes', ...folder } }))(0)) as DeitBatch;
  for (let i = 0; i < 3; i++) {
    const isSecond = (batch.pictures[i * 3072] as number) >= 100;
    assert.deepEqual([...batch.labels.slice(2 * i, 2 * i + 2)], isSecond ? [0, 1] : [1, 0]);
  }
});

test('folders without pictures or classes are refused by name', async () => {
  const empty = join(root, 'a', 'empty');
  mkdirSync(empty);
  const open = (kind: 'pictures' | 'classes', path: string) => openPictures({ kind, ...folder, folder: path }, 32);
  await assert.rejects(open('pictures', empty), /empty: It holds no pictures/);
  await assert.rejects(open('pictures', join(root, 'none')), /none: there is no such file/);
  await assert.rejects(open('classes', join(root, 'b', 'below')), /no folder for a class/);
  rmSync(empty, { recursive: true });
});

test('views of self-distillation are cut from pictures of any shape', async () => {
  const { encoder, ...config } = smallDino({ data: { kind: 'pictures', ...folder } });
  for (const colours of [{ kind: 'paper' }, { kind: 'light', strength: 0 }] as const) {
    const batcher = await createDinoBatcher({
      ...config,
      batchSize: 8,
      colours,
      side: 32,
      grid: 4,
      imageSide: 32,
      tableGrid: 4,
    });
    const batch = await batcher(0);
    assert.equal((batch['large'] as Uint8Array).length, 2 * 8 * 32 * 32 * 3);
    assert.equal((batch['small'] as Uint8Array).length, 2 * 8 * 16 * 16 * 3);
    assert.deepEqual(await batcher(0), batch);
  }
  assert.equal(encoder.type, 'dinov2');
});

test('the second large view is cut from a scene drawn again, the first as ever', async () => {
  const { encoder, ...config } = smallDino({ placeWeight: 1, positions: 'piece' });
  const sizes = { batchSize: 4, side: 16, grid: 2, imageSide: encoder.vit.imageSize, tableGrid: 4 };
  const open = (redraw: typeof config.redraw) => createDinoBatcher({ ...config, ...sizes, redraw });
  const [once, twice] = [await open(null), await open({ shift: 0.1, augment: 'none' })];
  const [plain, redrawn] = [await once(3), await twice(3)];
  const half = 4 * 16 * 16 * 3;
  const [a, b] = [plain['large'] as Uint8Array, redrawn['large'] as Uint8Array];
  assert.deepEqual(a.subarray(0, half), b.subarray(0, half));
  assert.notDeepEqual(a.subarray(half), b.subarray(half));
  assert.deepEqual(await twice(3), redrawn);
  // The windows are drawn alike, so the places that match are the same.
  assert.deepEqual(redrawn['matched'], plain['matched']);
  const positions = redrawn['positions'] as BigInt64Array;
  assert.equal(positions.length, 2 * 4 * 4);
  for (let view = 0; view < 8; view++) {
    const [corner, ...rest] = positions.subarray(view * 4, view * 4 + 4);
    assert.deepEqual(rest, [corner! + 1n, corner! + 4n, corner! + 5n]);
    assert.ok(corner! % 4n < 3n && corner! < 12n);
  }
});

test('windows lie in the picture and have their share of it', () => {
  const random = new Random(1, 'windows');
  const next = (): number => random.next();
  const size = { width: 300, height: 200 };
  for (let i = 0; i < 500; i++) {
    const { left, top, width, height } = drawWindow(size, [0.2, 0.6], next);
    assert.ok(left >= 0 && top >= 0 && left + width <= 300 && top + height <= 200);
    const share = (width * height) / 60_000;
    assert.ok(share > 0.195 && share < 0.605, `${share}`);
    assert.ok(width / height > 0.74 && width / height < 1.35);
    const square = drawSquare(size, [0.25, 1], next);
    assert.equal(square.width, square.height);
    assert.ok(square.width >= 100 && square.width <= 200 && square.left + square.width <= 300);
  }
  // Nothing of the area fits a strip: the largest window in the middle.
  assert.deepEqual(drawWindow({ width: 90, height: 9 }, [1, 1], next), { left: 39, top: 0, width: 12, height: 9 });
});

test('cuts: the whole is the picture, mirrored when asked; a simple cut goes on beyond the edge as a mirror', () => {
  const data = Uint8Array.from({ length: 8 * 8 * 3 }, (_, i) => (i * 7) % 251);
  const image = { width: 8, height: 8, data };
  const whole = { left: 0, top: 0, width: 8, height: 8 };
  assert.deepEqual(cutWindow(image, whole, 8, false), data);
  const mirrored = cutWindow(image, whole, 8, true);
  for (let x = 0; x < 8; x++) assert.equal(mirrored[x * 3], data[(7 - x) * 3]);
  assert.deepEqual(
    simpleCut(image, 8, 0, () => 0.5, false),
    data,
  );
  const corner = simpleCut(image, 8, 2, () => 0, false);
  const at = (x: number, y: number): number => data[(y * 8 + x) * 3 + 1] as number;
  assert.equal(corner[1], at(2, 2));
  assert.equal(corner[3 * (3 * 8 + 4) + 1], at(2, 1));
});

test('changes of colour do what they are called', () => {
  const pixels = (...values: number[]): Uint8Array => Uint8Array.from(values);
  const changed = (data: Uint8Array, change: (data: Uint8Array) => unknown): number[] => {
    change(data);
    return [...data];
  };
  assert.deepEqual(changed(pixels(200, 100, 50), toGrey), [124, 124, 124]);
  assert.deepEqual(changed(pixels(127, 128, 255), solarise), [127, 127, 0]);
  assert.deepEqual(
    changed(pixels(200, 20, 20), (data) => turnHue(data, 1 / 3)),
    [20, 200, 20],
  );
  assert.deepEqual(
    changed(pixels(200, 120, 20, 9, 9, 9), (data) => turnHue(data, 1)),
    [200, 120, 20, 9, 9, 9],
  );
  const none = { brightness: 0, contrast: 0, saturation: 0, hue: 0 };
  const next = (): number => 0.999999;
  assert.deepEqual(
    changed(pixels(10, 20, 30), (data) => jitter(data, { ...none, brightness: 0.5 }, next)),
    [15, 30, 45],
  );
  assert.deepEqual(
    changed(pixels(100, 100, 100, 200, 200, 200), (data) => jitter(data, { ...none, contrast: 0.4 }, next)),
    [80, 80, 80, 220, 220, 220],
  );
  assert.deepEqual(
    changed(pixels(200, 100, 50), (data) => jitter(data, { ...none, saturation: 1 }, next)),
    [255, 76, 0],
  );
  assert.deepEqual(
    changed(pixels(7, 80, 9), (data) => jitter(data, none, next)),
    [7, 80, 9],
  );
});

test('blur spreads a point as a bell, and leaves a plain picture as it is', () => {
  const side = 15;
  const plain = new Uint8Array(side * side * 3).fill(90);
  blur(plain, side, side, 1.5);
  assert.ok(plain.every((value) => value === 90));
  const point = new Uint8Array(side * side * 3);
  point.fill(255, (7 * side + 7) * 3, (7 * side + 7) * 3 + 3);
  blur(point, side, side, 1);
  const bell = (d: number): number => (255 * Math.exp(-(d ** 2) / 2)) / (2 * Math.PI);
  for (const [dx, dy] of [
    [0, 0],
    [1, 0],
    [0, 2],
    [1, 1],
  ] as const) {
    const value = point[((7 + dy) * side + 7 + dx) * 3] as number;
    assert.ok(Math.abs(value - bell(Math.hypot(dx, dy))) <= 1, `${dx}, ${dy}: ${value}`);
  }
});

test('the changes of DINOv2 and of DeiT III come as often as they say', () => {
  const random = new Random(2, 'colours');
  const next = (): number => random.next();
  let [grey, three] = [0, 0];
  for (let i = 0; i < 600; i++) {
    const data = Uint8Array.from([200, 100, 50, 60, 110, 180, 20, 220, 90, 140, 30, 160]);
    dinoColours(data, 2, 'second', next);
    if (data[0] === data[1] && data[1] === data[2]) grey++;
    if (threeAugment(data.slice(), 2, 0.3, next).grey) three++;
  }
  assert.ok(Math.abs(grey / 600 - 0.2) < 0.06, `${grey} grey views`);
  assert.ok(Math.abs(three / 600 - 1 / 3) < 0.06, `${three} grey views`);
});

test('every pre-training recipe builds its model, and its rates fit what learns', async () => {
  const built: string[] = [];
  for (const name of Object.keys(RECIPES)) {
    const recipe = await loadRecipe(name);
    const task = nn.onMeta((): TrainingTask<never> | null => {
      switch (recipe.kind) {
        case 'clip':
          return new ClipTask(recipe.clip, recipe.loop) as never;
        case 'dinov2':
          return new DinoTask(recipe.dinov2, recipe.loop) as never;
        case 'mae':
          return new MaeTask(recipe.mae, recipe.loop) as never;
        case 'deit':
          return new DeitTask(recipe.deit, recipe.loop) as never;
        case 'lm':
          return new LmTask(recipe.lm, recipe.loop) as never;
        default:
          return null;
      }
    });
    if (task === null || recipe.kind === 'tokenizer') continue;
    built.push(name);
    assert.ok(parameterGroups(trainedParameters(task.parts), recipe.loop).length > 1);
  }
  assert.deepEqual(built.sort(), [
    ...['clip-vit-l14', 'deit3-vit-l16', 'dinov2-vit-l14', 'mae-vit-l16'],
    ...['tiny-clip', 'tiny-deit', 'tiny-dinov2', 'tiny-lm', 'tiny-mae'],
  ]);
});
