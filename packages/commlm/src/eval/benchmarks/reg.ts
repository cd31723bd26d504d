/** REG: a phrase for each region, scored as captions, on the refs of the RefCOCO family. */
import { basename, dirname } from 'node:path';
import type { Id } from '../formats/files.js';
import { readPredictionList } from '../formats/predictions.js';
import { readRefs } from '../formats/refs.js';
import { averageOf, figuresOfGroups, type PublishedBenchmark } from './benchmark.js';
import { captionFigures, captionSums, scoreCaptionItems, scoreCaptionSet } from './captions.js';
import type { DataFolder } from './data-folder.js';
import type { EvalItem, ItemScore, LoadedBenchmark, Scored } from './item.js';
import { loadRegions, REGION_PICTURES } from './regions.js';
import { type FileRequest, type FileScores, matchIds } from './score-file.js';

/** Regions in each split. */
const SIZES = {
  ...{ 'refcoco val': 3811, 'refcoco testA': 1975, 'refcoco testB': 1810 },
  ...{ 'refcoco+ val': 3805, 'refcoco+ testA': 1975, 'refcoco+ testB': 1798 },
  ...{ 'refcocog val': 2573, 'refcocog test': 5023 },
};

async function load(folder: DataFolder): Promise<LoadedBenchmark> {
  const regions = await loadRegions(folder);
  const dataSet = basename(dirname(folder.need('refs')));
  for (const split of new Set(regions.map(({ ref }) => ref.split))) {
    const count = regions.filter(({ ref }) => ref.split === split).length;
    folder.checkCount(`${dataSet} ${split}`, count, 'regions', SIZES);
  }
  const references = new Map<Id, readonly string[]>();
  const items = regions.map(({ ref, box, size, picture }): EvalItem => {
    const id = `${ref.split}/${ref.id}`;
    references.set(id, ref.sentences);
    return { id, unit: id, group: ref.split === '' ? undefined : ref.split, picture, words: {}, box, size };
  });
  return { items, score: (some, answers) => score(some, answers, references) };
}

/** Each split's figures, and in front their plain average; document frequencies are those of the split. */
function joinSplits(
  bySplit: ReadonlyArray<readonly [string, Readonly<Record<string, number>>]>,
): Record<string, number> {
  const names = Object.keys(bySplit[0]?.[1] ?? {});
  const average = averageOf(
    names,
    bySplit.map(([, figures]) => figures),
  );
  return bySplit.length === 1 ? average : { ...average, ...figuresOfGroups(names, bySplit) };
}

function score(
  items: readonly EvalItem[],
  answers: readonly string[],
  references: ReadonlyMap<Id, readonly string[]>,
): Scored {
  const scores = new Array<ItemScore>(items.length);
  const bySplit = [...new Set(items.map(({ group }) => group ?? ''))].map((split) => {
    const places = items.flatMap(({ group }, i) => ((group ?? '') === split ? [i] : []));
    const { figures, items: own } = scoreCaptionItems(
      places.map((i) => items[i]!),
      places.map((i) => answers[i]!),
      references,
    );
    places.forEach((i, k) => {
      const { box } = items[i]!;
      scores[i] = { ...own[k]!, boxes: box === undefined ? undefined : { target: box } };
    });
    return [split, figures] as const;
  });
  return { figures: joinSplits(bySplit), items: scores };
}

async function scoreFile(request: FileRequest): Promise<FileScores> {
  const regions = await readRefs(request.annotations, { split: request.split });
  const references = new Map(regions.map(({ id, sentences }) => [id, sentences]));
  const predictions = await readPredictionList(request.predictions, 'ref_id', 'sent', 'region');
  matchIds(references.keys(), predictions, 'region', request);
  return scoreCaptionSet(references, predictions.values, 'ref_id', request);
}

export const REG: PublishedBenchmark = {
  name: 'reg',
  summary: 'a phrase for each region, RefCOCO unless --file names other refs',
  prompt: 'reg',
  scale: 'fraction',
  readers: ['official'],
  roles: [
    {
      role: 'refs',
      names: [
        'refcoco/refs(unc).p',
        'refcoco+/refs(unc).p',
        'refcocog/refs(umd).p',
        'refs(unc).p',
        'refs(umd).p',
        'refs.json',
      ],
    },
    {
      role: 'instances',
      names: ['refcoco/instances.json', 'refcoco+/instances.json', 'refcocog/instances.json', 'instances.json'],
    },
    REGION_PICTURES,
  ],
  load,
  scoreFile,
  sums: captionSums,
  figures: (sums) => joinSplits([...sums].map(([split, each]) => [split, captionFigures(each)])),
};
