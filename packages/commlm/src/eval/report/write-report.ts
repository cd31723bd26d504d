/** `report.html`: the results of a folder on one page that needs nothing beside itself. */
import { join, resolve } from 'node:path';
import { type Html, html } from '../../report/html.js';
import { PAGE_STYLE } from '../../report/page.js';
import { PictureReader } from '../benchmarks/pictures.js';
import { readResults, readSamples } from '../read-results.js';
import type { BenchmarkResult, EvalFigure, EvalResults, EvalSample, EvaluatedModel } from '../results.js';
import { shownFigure } from '../shown-figure.js';
import { scaleOf } from '../table.js';
import { CARD_FILTER, CARD_STYLE } from './card-page.js';
import { cardOf, chooseSamples, OUTCOMES, outcomeOf, ThumbnailMaker, typeOf } from './cards.js';

/** Cards of one benchmark; all samples are in the samples file. */
export const DEFAULT_CARDS = 60;

/** How a report is written. */
export interface ReportOptions {
  /** Cards of one benchmark. */
  readonly cards?: number | undefined;
  /** Where the pictures lie, when the data folder has moved since. */
  readonly data?: string | undefined;
  /** Writes a file whole or not at all. */
  readonly writeFile: (path: string, content: string) => void;
}

/** Writes `report.html` into a folder of results and gives its path. @throws CommError when the folder is not whole */
export async function writeReport(folder: string, options: ReportOptions): Promise<string> {
  const results = await readResults(folder);
  const data = options.data ?? resolve(folder, results.run.dataFolder);
  const thumbnails = new ThumbnailMaker(new PictureReader(resolve(data)));
  const sections: Html[] = [];
  const types: string[] = [];
  for (const result of results.benchmarks) {
    const samples = await readSamples(folder, result);
    const chosen = chooseSamples(samples, options.cards ?? DEFAULT_CARDS);
    types.push(...new Set(chosen.map((sample) => typeOf(result.benchmark, sample))));
    sections.push(await sectionOf(result, samples, chosen, thumbnails));
  }
  const path = join(folder, 'report.html');
  options.writeFile(path, pageOf(results, sections, types).source);
  return path;
}

function pageOf(results: EvalResults, sections: readonly Html[], types: readonly string[]): Html {
  const { model } = results.run;
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Evaluation of ${model.name}</title><style>${PAGE_STYLE}${CARD_STYLE}</style></head><body>
<h1>Evaluation of ${model.name}</h1>
${summaryOf(results)}
${settingsOf(results)}
${filtersOf(types)}
<main>${sections}</main>
<script>${CARD_FILTER}</script></body></html>
`;
}

/** A figure of a benchmark as a table shows it, with its unit, and its interval. */
function figureTexts(result: BenchmarkResult, name: string, { value, low, high }: EvalFigure) {
  const scale = scaleOf(result);
  const textOf = (number: number): string => shownFigure(scale, name, number).text;
  const { text, unit } = shownFigure(scale, name, value);
  return {
    value: unit === '' ? text : `${text} ${unit}`,
    interval: low === null || high === null ? '' : `${textOf(low)} \u2013 ${textOf(high)}`,
  };
}

/** Figures of the whole; those of groups are in the section of the benchmark. */
function summaryOf({ benchmarks, run }: EvalResults): Html {
  const isBlind = benchmarks.some(({ blind }) => blind !== undefined);
  const rows = benchmarks.flatMap((result) => {
    const { benchmark, figures, blind, count, total, partial } = result;
    return Object.entries(figures)
      .filter(([name]) => !name.includes('.'))
      .map(([name, figure], i) => {
        const grey = blind?.[name];
        const greyCell = isBlind
          ? html`<td class="number">${grey === undefined ? '' : figureTexts(result, name, grey).value}</td>`
          : undefined;
        const { value, interval } = figureTexts(result, name, figure);
        const head = i === 0 ? html`<a href="#${benchmark}">${benchmark}</a>${partial ? ' (a part)' : ''}` : html``;
        return html`<tr><th scope="row">${head}</th><td>${name}</td><td class="number">${value}</td><td class="number">${interval}</td>${greyCell}<td class="number">${i === 0 ? (count === total ? count : `${count} of ${total}`) : ''}</td></tr>`;
      });
  });
  const greyHead = isBlind ? html`<th scope="col" class="number">grey picture</th>` : undefined;
  return html`<p class="soft">Rates in percent (results.json has the scale of each official tool), with ${run.bootstrap.level * 100} % bootstrap intervals over pictures.</p>
<div class="scroll" tabindex="0"><table>
<thead><tr><th scope="col">benchmark</th><th scope="col">figure</th><th scope="col" class="number">value</th><th scope="col" class="number">interval</th>${greyHead}<th scope="col" class="number">questions</th></tr></thead>
<tbody>${rows}</tbody></table></div>`;
}

function modelFacts(model: EvaluatedModel): Html {
  if (model.kind === 'endpoint') return html`<dt>endpoint</dt><dd>${model.url}</dd>`;
  if (model.kind !== 'folder') return html``;
  const files = Object.entries(model.files).map(([name, hash]) => html`<dt>${name}</dt><dd>sha256 ${hash}</dd>`);
  return html`<dt>type and device</dt><dd>${model.dtype}, ${model.device}</dd>${files}`;
}

function settingsOf({ run }: EvalResults): Html {
  const { model, prompts, decoding, bootstrap, limit, commlm, commit } = run;
  return html`<details><summary>Model, decoding and seeds</summary><dl>
<dt>model</dt><dd>${model.name}</dd>${modelFacts(model)}
${prompts === null ? undefined : html`<dt>prompts</dt><dd>${prompts.name}, version ${prompts.version}</dd>`}
${decoding === null ? undefined : html`<dt>decoding</dt><dd>temperature ${decoding.temperature}, top-p ${decoding.topP}, seed ${decoding.seed}</dd>`}
<dt>bootstrap</dt><dd>${bootstrap.resamples} draws, seed ${bootstrap.seed}</dd>
<dt>limit</dt><dd>${limit ?? 'none'}</dd><dt>commlm</dt><dd>${commlm}${commit === null ? '' : `, commit ${commit}`}</dd></dl></details>`;
}

function filtersOf(types: readonly string[]): Html {
  const boxes = OUTCOMES.map(
    (outcome) => html`<label><input type="checkbox" name="outcome" value="${outcome}" checked> ${outcome}</label>`,
  );
  const options = types.map((type) => html`<option>${type}</option>`);
  return html`<form hidden aria-label="Filter the cards">${boxes}
<label>type <select name="type"><option value="">all</option>${options}</select></label>
<input type="search" name="search" aria-label="Search in the cards" placeholder="search"><output class="soft"></output></form>`;
}

const LEGEND = html`<p class="legend soft"><span><svg width="28" height="14" aria-hidden="true"><rect class="key target" x="2" y="2" width="24" height="10"/></svg> target</span><span><svg width="28" height="14" aria-hidden="true"><rect class="key answer" x="2" y="2" width="24" height="10"/></svg> answer, dashed</span></p>`;

async function sectionOf(
  result: BenchmarkResult,
  samples: readonly EvalSample[],
  chosen: readonly EvalSample[],
  thumbnails: ThumbnailMaker,
): Promise<Html> {
  const { benchmark, reader, prompt, maxNewTokens, data, numCut, notes, figures } = result;
  const cards: Html[] = [];
  for (const sample of chosen) cards.push(await cardOf(benchmark, sample, thumbnails));
  const counts = OUTCOMES.map((outcome) => [outcome, samples.filter((s) => outcomeOf(s) === outcome).length] as const)
    .filter(([, count]) => count > 0)
    .map(([outcome, count]) => `${count} ${outcome}`)
    .join(', ');
  const shown = chosen.length === samples.length ? '' : `; ${chosen.length} shown, failures first`;
  const files = data.map(({ role, path, sha256 }) => html`<dt>${role}</dt><dd>${path}, sha256 ${sha256}</dd>`);
  const coordinates =
    prompt?.coordinates === undefined ? undefined : html`<dt>coordinates</dt><dd>${prompt.coordinates}</dd>`;
  const asked =
    prompt === null
      ? undefined
      : html`<dt>prompt</dt><dd>${prompt.template}</dd><dt>answer form</dt><dd>${prompt.answer}</dd>${coordinates}<dt>longest answer</dt><dd>${maxNewTokens ?? ''} tokens, ${numCut} answers were cut</dd>`;
  const rows = Object.entries(figures).map(([name, figure]) => {
    const { value, interval } = figureTexts(result, name, figure);
    return html`<tr><th scope="row">${name}</th><td class="number">${value}</td><td class="number">${interval}</td></tr>`;
  });
  return html`<section id="${benchmark}"><h2>${benchmark}</h2>
<p class="soft">${counts}${shown}</p>
${notes.map((line) => html`<p>${line}</p>`)}
<details><summary>Prompt, reader and data</summary><dl>${asked}
<dt>reader</dt><dd>${reader}</dd>${files}</dl></details>
<details><summary>All figures</summary><div class="scroll" tabindex="0"><table><tbody>${rows}</tbody></table></div></details>
${samples.some(({ boxes }) => boxes !== undefined) ? LEGEND : undefined}
<div class="cards">${cards}</div></section>
`;
}
