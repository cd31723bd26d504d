/** Drawn pictures: frames where the boxes are, chips inside the picture, no need for fonts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeImage, type RgbImage } from './decode.js';
import { BOX_COLORS, boxesAsSvg, drawBoxes, encodePicture } from './draw.js';
import { noisePicture } from './golden.fixture.js';
import { strokeText } from './stroke-font.js';

const white: RgbImage = { width: 200, height: 120, data: new Uint8Array(200 * 120 * 3).fill(255) };

function pixel({ width, data }: RgbImage, x: number, y: number): string {
  const start = (y * width + x) * 3;
  return `#${Buffer.from(data.subarray(start, start + 3)).toString('hex')}`;
}

test('every box has its colour on its edge, the rest of the picture is untouched', async () => {
  const boxes = [{ box: [10, 10, 60, 60] }, { box: [100, 20, 180, 100] }] as const;
  const drawn = await decodeImage(await drawBoxes(white, boxes));
  assert.deepEqual([drawn.width, drawn.height], [200, 120]);
  assert.equal(pixel(drawn, 35, 13), BOX_COLORS[0]);
  assert.equal(pixel(drawn, 13, 35), BOX_COLORS[0]);
  assert.equal(pixel(drawn, 176, 60), BOX_COLORS[1]);
  assert.equal(pixel(drawn, 35, 35), '#ffffff');
  assert.equal(pixel(drawn, 80, 60), '#ffffff');
  assert.ok(white.data.every((byte) => byte === 255));
});

test('on a picture of its own colour a box has a dark and a light rim', async () => {
  const [r, g, b] = Buffer.from(BOX_COLORS[0].slice(1), 'hex');
  const data = Uint8Array.from({ length: 200 * 120 * 3 }, (_, i) => [r, g, b][i % 3] as number);
  const drawn = await decodeImage(await drawBoxes({ width: 200, height: 120, data }, [{ box: [10, 10, 60, 60] }]));
  // From the edge of the box inwards: dark, light, the line of three pixels, light, dark.
  const across = Array.from({ length: 9 }, (_, x) => pixel(drawn, 9 + x, 35));
  const color = BOX_COLORS[0];
  assert.deepEqual(across, [color, '#000000', '#ffffff', color, color, color, '#ffffff', '#000000', color]);
});

test('colours go round after nine boxes', () => {
  const svg = boxesAsSvg(
    100,
    100,
    Array.from({ length: 10 }, () => ({ box: [10, 10, 20, 20] as const })),
  );
  assert.equal(BOX_COLORS.length, 9);
  assert.equal(svg.split(BOX_COLORS[0]).length - 1, 2);
});

test('labels are strokes, not text that needs a font, and stay in the picture', () => {
  const label = 'a <b> & "c" 日本 with a very long name that does not fit at all';
  const svg = boxesAsSvg(120, 80, [
    { label, box: [100, 0, 120, 80] },
    { label: 'dog', box: [-50, -50, 500, 500] },
    { label: ' ', box: [0, 0, 9, 9] },
  ]);
  assert.doesNotMatch(svg, /<text|font/);
  const chips = [
    ...svg.matchAll(/<rect x="([\d.-]+)" y="([\d.-]+)" width="([\d.]+)" height="([\d.]+)" rx="[\d.]+" fill="#/g),
  ];
  assert.equal(chips.length, 2);
  for (const [, x, y, width, height] of chips.map((chip) => chip.map(Number))) {
    assert.ok((x as number) >= 0 && (x as number) + (width as number) <= 120.01);
    assert.ok((y as number) >= 0 && (y as number) + (height as number) <= 80.01);
  }
});

test('two chips of one place do not cover each other', () => {
  const svg = boxesAsSvg(200, 200, [
    { label: 'one', box: [20, 60, 120, 160] },
    { label: 'two', box: [20, 60, 120, 160] },
  ]);
  const tops = [...svg.matchAll(/y="([\d.]+)" width="[\d.]+" height="[\d.]+" rx="[\d.]+" fill="#/g)].map(
    (match) => match[1],
  );
  assert.equal(new Set(tops).size, 2);
});

test('boxes without extent, turned round or beyond the picture are drawn without fault', async () => {
  await drawBoxes(white, [
    { box: [5, 5, 5, 5] },
    { box: [50, 50, 10, 10] },
    { box: [300, 300, 400, 400], label: 'out' },
    { box: [-9, -9, -5, -5], label: 'out' },
  ]);
});

test('a picture is written as PNG without loss, as JPEG and WebP; other formats are refused', async () => {
  const image = noisePicture(13, 7, 1);
  assert.deepEqual((await decodeImage(await encodePicture(image))).data, Buffer.from(image.data));
  for (const format of ['jpg', 'JPEG', 'webp']) {
    const decoded = await decodeImage(await encodePicture(image, format));
    assert.deepEqual([decoded.width, decoded.height], [13, 7]);
  }
  await assert.rejects(encodePicture(image, 'bmp'), { code: 'image/format' });
});

test('all printable ASCII has a letter, accents fall off, a line is as wide as its letters', () => {
  const frame = strokeText('日').letters[0]?.path;
  for (let code = 33; code < 127; code++) {
    assert.notEqual(strokeText(String.fromCharCode(code)).letters[0]?.path, frame, String.fromCharCode(code));
  }
  assert.deepEqual(strokeText('é'), strokeText('e'));
  assert.equal(strokeText('').width, 0);
  assert.ok(strokeText('mm').width > 2 * strokeText('m').width);
});
