/** Annotation files of the world: true, balanced, in the shape that the scorers read; writing is resumable. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CommError } from '../../config/errors.js';
import {
  cocoCaptions,
  cocoInstances,
  flickrEntities,
  llavaConversations,
  MMBENCH_COLUMNS,
  mmbenchRows,
  mmeTasks,
  type PictureRecord,
  POPE_SPLITS,
  pointQaLocal,
  pointQaTwice,
  popeLines,
  recLines,
  regionReferences,
  visual7wPointing,
  vqaFiles,
} from './annotations.js';
import { makeScene } from './scene.js';
import { loadSpriteBank, type SpriteBank } from './sprites.js';
import { sceneSeed } from './stream.js';
import { nounOf } from './vocabulary.js';
import { type WriteWorldOptions, writeWorld } from './write.js';

let bank: SpriteBank;
let pictures: PictureRecord[];
let folder: string;
before(async () => {
  bank = await loadSpriteBank();
  pictures = Array.from({ length: 300 }, (_, i) => ({
    id: i + 1,
    fileName: `images/${i + 1}.png`,
    scene: makeScene(sceneSeed(0, i), { bank, split: 'test', size: 320 }),
  }));
  folder = await mkdtemp(join(tmpdir(), 'world-set-'));
});
after(() => rm(folder, { recursive: true, force: true }));

function sceneOf(fileName: string) {
  const picture = pictures.find((candidate) => candidate.fileName === fileName);
  assert.ok(picture);
  return picture.scene;
}

describe('COCO files', () => {
  it('hold every thing with a box inside the picture', () => {
    const { images, annotations, categories } = cocoInstances(pictures);
    assert.equal(images.length, pictures.length);
    assert.equal(new Set(annotations.map(({ id }) => id)).size, annotations.length);
    const names = new Map(categories.map(({ id, name }) => [id, name]));
    for (const { image_id, category_id, bbox } of annotations) {
      const { scene } = pictures[image_id - 1] as PictureRecord;
      assert.ok(scene.objects.some(({ noun }) => noun === names.get(category_id as number)));
      const [x, y, width, height] = bbox;
      assert.ok(x >= -0.01 && y >= -0.01 && x + width <= scene.width + 0.02 && y + height <= scene.height + 0.02);
    }
  });

  it('hold five captions a picture', () => {
    assert.equal(cocoCaptions(pictures).annotations.length, pictures.length * 5);
  });
});

describe('referring expressions', () => {
  it('come with whole sizes and corner boxes', () => {
    const lines = recLines(pictures);
    assert.ok(lines.length > pictures.length);
    for (const { bbox, width, height, img_path } of lines) {
      assert.ok(Number.isInteger(width) && Number.isInteger(height) && bbox[2] > bbox[0] && bbox[3] > bbox[1]);
      assert.ok(sceneOf(img_path).objects.some(({ box }) => box === bbox));
    }
    for (const { sentences } of regionReferences(pictures)) assert.ok(sentences.length >= 1 && sentences.length <= 3);
  });
});

describe('VQA files', () => {
  it('have an annotation with ten answers for every question', () => {
    const { questions, annotations } = vqaFiles(pictures);
    assert.deepEqual(
      questions.questions.map(({ question_id }) => question_id),
      annotations.annotations.map(({ question_id }) => question_id),
    );
    const kinds = new Set<string>();
    for (const { answers, answer_type, multiple_choice_answer } of annotations.annotations) {
      assert.equal(answers.length, 10);
      assert.ok(answers.every(({ answer }) => answer === multiple_choice_answer));
      kinds.add(answer_type);
    }
    assert.deepEqual([...kinds].sort(), ['number', 'other', 'yes/no']);
  });
});

describe('POPE files', () => {
  it('are half yes and true', () => {
    for (const split of POPE_SPLITS) {
      const lines = popeLines(pictures, split);
      assert.equal(lines.filter(({ label }) => label === 'yes').length * 2, lines.length);
      for (const { image, text, label } of lines) {
        const noun = text.replace(/^Is there an? /, '').replace(/ in the image\?$/, '');
        assert.equal(
          sceneOf(image).objects.some((object) => object.noun === nounOf(noun).name),
          label === 'yes',
          text,
        );
      }
    }
  });

  it('choose popular and adversarial negatives by the counts of the set', () => {
    const negatives = (split: (typeof POPE_SPLITS)[number]) =>
      popeLines(pictures, split).filter(({ label }) => label === 'no');
    const spread = (split: (typeof POPE_SPLITS)[number]) => new Set(negatives(split).map(({ text }) => text)).size;
    assert.ok(spread('popular') < spread('random') / 2);
    const isBeside = ({ image, text }: { image: string; text: string }) => {
      const noun = text.replace(/^Is there an? /, '').replace(/ in the image\?$/, '');
      const present = new Set(sceneOf(image).objects.map((object) => object.noun));
      return pictures.some(({ scene }) => {
        const nouns = scene.objects.map((object) => object.noun);
        return nouns.includes(noun) && nouns.some((other) => present.has(other));
      });
    };
    const share = (split: (typeof POPE_SPLITS)[number]) =>
      negatives(split).filter(isBeside).length / negatives(split).length;
    assert.ok(share('adversarial') > 0.95, `${share('adversarial')}`);
    assert.ok(share('adversarial') > share('random') + 0.1);
  });
});

describe('other formats', () => {
  it('MME: two consecutive lines a picture, one yes and one no', () => {
    for (const [task, text] of Object.entries(mmeTasks(pictures))) {
      const lines = text.trimEnd().split('\n');
      assert.ok(lines.length >= 60 && lines.length % 2 === 0, task);
      for (let i = 0; i < lines.length; i += 2) {
        const [a, b] = [lines[i]?.split('\t'), lines[i + 1]?.split('\t')] as [string[], string[]];
        assert.equal(a[0], b[0]);
        assert.deepEqual([a[2], b[2]].sort(), ['No', 'Yes']);
      }
    }
  });

  it('MMBench: four rotations of the same choices, the letter follows the answer', () => {
    for (const picture of pictures.slice(0, 50)) {
      const rows = mmbenchRows(picture);
      assert.equal(rows.length, 4);
      const right = rows.map(({ cells }) => cells[3 + 'ABCD'.indexOf(cells[7] as string)]);
      assert.equal(new Set(right).size, 1);
      assert.equal(new Set(rows.map(({ cells }) => cells[7])).size, 4);
      for (const { cells } of rows) assert.equal(cells.length, MMBENCH_COLUMNS.length - 1);
    }
  });

  it('Visual7W: four boxes, the answer not among the wrong ones', () => {
    const { images, boxes } = visual7wPointing(pictures);
    const known = new Set(boxes.map(({ box_id }) => box_id));
    for (const { qa_pairs } of images) {
      for (const { answer, multiple_choices } of qa_pairs) {
        assert.equal(multiple_choices.length, 3);
        assert.ok(!multiple_choices.includes(answer as number));
        for (const id of [answer as number, ...multiple_choices]) assert.ok(known.has(id));
      }
    }
  });

  it('Flickr30k Entities: every marked phrase has its box', () => {
    for (const { sentences, xml } of flickrEntities(pictures)) {
      assert.equal(sentences.trimEnd().split('\n').length, 5);
      for (const [, id] of sentences.matchAll(/\[\/EN#(\d+)\/\w+ [^\]]+\]/g))
        assert.ok(xml.includes(`<name>${id}</name>`));
    }
  });

  it('PointQA: the point lies in the box', () => {
    for (const { bbox, point } of [...pointQaLocal(pictures), ...pointQaTwice(pictures)]) {
      assert.ok(point[0] > bbox[0] && point[0] < bbox[2] && point[1] > bbox[1] && point[1] < bbox[3]);
    }
  });

  it('LLaVA: turns alternate, the picture comes first, coordinates are written out', () => {
    for (const { conversations } of llavaConversations(pictures)) {
      assert.ok(conversations[0]?.value.startsWith('<image>\n'));
      for (const [i, { from, value }] of conversations.entries()) {
        assert.equal(from, i % 2 === 0 ? 'human' : 'gpt');
        assert.ok(!value.includes('<boxes>'));
      }
    }
  });
});

describe('writing a set', () => {
  const options = (): WriteWorldOptions => ({
    out: join(folder, 'set'),
    bank,
    split: 'test',
    count: 6,
    seed: 3,
    style: 'known',
    size: 96,
    format: 'png',
  });

  it('goes on where it stopped and gives the same files', async () => {
    const first = await writeWorld(options());
    assert.equal(first.painted, 6);
    const path = join(folder, 'set', 'images', '00000004.png');
    const before = await readFile(path);
    const untouched = await stat(join(folder, 'set', 'images', '00000001.png'));
    await rm(path);
    const second = await writeWorld(options());
    assert.equal(second.painted, 1);
    assert.deepEqual(second.files, first.files);
    assert.deepEqual(await readFile(path), before);
    assert.equal((await stat(join(folder, 'set', 'images', '00000001.png'))).mtimeMs, untouched.mtimeMs);
    const names = await readdir(join(folder, 'set'), { recursive: true });
    assert.ok(names.every((name) => !name.endsWith('.part')));
  });

  it('refuses a folder that holds something else', async () => {
    const refused = (error: unknown) => error instanceof CommError && error.code === 'world/other-set';
    await assert.rejects(writeWorld({ ...options(), seed: 4 }), refused);
    await writeFile(join(folder, 'mine.txt'), 'mine');
    await assert.rejects(writeWorld({ ...options(), out: folder }), refused);
  });

  it('stops when asked to', async () => {
    const stopped = AbortSignal.abort(new Error('stopped'));
    const out = join(folder, 'stopped');
    await assert.rejects(writeWorld({ ...options(), out, signal: stopped }), /stopped/);
    assert.equal((await readdir(join(out, 'images'))).length, 0);
    assert.equal((await writeWorld({ ...options(), out })).painted, 6);
  });
});
