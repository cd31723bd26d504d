/**
 * Pre-training of a DINOv2-type tower by self-distillation (2304.07193): a student sees all views, an averaged teacher
 * the large ones; the student predicts the teacher's prototypes of the picture (CLS, 2104.14294) and of hidden patches
 * (iBOT, 2111.07832).
 */
import { cat, F, keep, type nn, noGrad, op, optim, scope, type Tensor, tensor, zeros } from '@commlm/torch';
import { numTokens, parseConfig } from '../../config/model.js';
import { DinoConfig } from '../../config/pretrain.js';
import type { LoopConfig } from '../../config/train.js';
import { DinoHead } from '../../models/dino-head.js';
import { Dinov2Vision } from '../../models/dinov2.js';
import { saveEncoder } from '../../weights/encoder-folder.js';
import { CheckedBatches, threadsOf } from '../loop/checked-batches.js';
import { place } from '../loop/placement.js';
import type { BatchFacts, BatchSource, Losses, TrainingTask } from '../loop/training-task.js';
import { normalisePictures } from '../pictures/pixels.js';
import type { DinoBatch, DinoBatchOptions } from './dino-batches.js';

// Shapes: B pictures, G large views, L small views, N patches, M hidden patches, R rows, D width, K prototypes.

const foreachCopy = op('aten::_foreach_copy_');

/** Large views of each picture. */
const LARGE_VIEWS = 2;

/** Teacher assignments by Sinkhorn-Knopp (SwAV, 2006.09882): rows sum to 1, prototypes are used evenly. float[R, K] -> f32[R, K]. */
export function sinkhorn(scores_RK: Tensor, temperature: number, iterations = 3): Tensor {
  return scope(() => {
    const [rows, prototypes] = scores_RK.shape as [number, number];
    let q = scores_RK.to('f32').div(temperature);
    q = q.sub(q.max()).exp();
    for (let i = 0; i < iterations; i++) {
      q = q.div(q.sum(0, true).mul(prototypes).add(1e-12));
      q = q.div(q.sum(1, true).mul(rows).add(1e-12));
    }
    return q.mul(rows);
  });
}

/** Teacher assignments by centring (DINO, 2104.14294): softmax of the scores without their running mean. float[R, K], f32[K] -> f32[R, K]. */
export function centred(scores_RK: Tensor, centre_K: Tensor, temperature: number): Tensor {
  return scope(() => scores_RK.to('f32').sub(centre_K).div(temperature).softmax(-1));
}

/** Cross-entropy of the student's scores against the teacher's assignments: float[R, K] each -> f32[R]. */
export function distil(student_RK: Tensor, teacher_RK: Tensor, temperature: number): Tensor {
  return scope(() => student_RK.to('f32').div(temperature).logSoftmax(-1).mul(teacher_RK).sum(-1).neg());
}

/** Mean over all pairs of a large view of the teacher and another view of the student; views are B rows each, large ones first. */
export function clsLoss(student_VBK: readonly Tensor[], teacher_GBK: readonly Tensor[], temperature: number): Tensor {
  return scope(() => {
    const pairs = teacher_GBK.flatMap((target, t) =>
      student_VBK.flatMap((view, v) => (v === t ? [] : [distil(view, target, temperature).mean()])),
    );
    return pairs.reduce((sum, pair) => sum.add(pair)).div(pairs.length);
  });
}

/** KoLeo (1806.03198): minus the mean log distance to the nearest neighbour on the sphere, float[B, D] -> scalar. */
export function koleo(x_BD: Tensor): Tensor {
  return scope(() => {
    const z = F.normalize(x_BD.to('f32'), -1);
    const nearest = noGrad(() => {
      const similarity = z.mm(z.t());
      similarity.diagonal().fill_(-2);
      return similarity.argmax(1);
    });
    const distance = z.sub(z.indexSelect(0, nearest)).add(1e-8).norm(2, 1);
    return distance.add(1e-8).log().mean().neg();
  });
}

/** The teacher's temperature at a step: linear to its last value. */
export function teacherTemperature({ first, last, steps }: DinoConfig['teacherTemperature'], step: number): number {
  return step >= steps ? last : first + ((last - first) * step) / steps;
}

/** The share of the teacher that stays at a step, along a cosine from the first to the last value. */
export function teacherMomentum([first, last]: DinoConfig['teacherMomentum'], step: number, steps: number): number {
  return last + (first - last) * 0.5 * (1 + Math.cos((Math.PI * step) / steps));
}

/** A tower with its heads; the head of hidden patches may be that of CLS. */
class Network {
  readonly parts: ReadonlyMap<string, nn.Module>;
  readonly encoder: Dinov2Vision;
  readonly head: DinoHead;
  readonly patchHead: DinoHead;

  constructor({ encoder: { vit }, headHidden, bottleneck, numPrototypes, patchHead }: DinoConfig) {
    const head = (sizes: Pick<DinoConfig, 'headHidden' | 'bottleneck' | 'numPrototypes'>): DinoHead =>
      new DinoHead(vit.hiddenSize, sizes.headHidden, sizes.bottleneck, sizes.numPrototypes);
    this.encoder = new Dinov2Vision(vit);
    this.head = head({ headHidden, bottleneck, numPrototypes });
    this.patchHead = patchHead === null ? this.head : head(patchHead);
    this.parts = new Map<string, nn.Module>([
      ['encoder', this.encoder],
      ['head', this.head],
      ...(patchHead === null ? [] : ([['patchHead', this.patchHead]] as const)),
    ]);
  }

  parameters(): Map<string, nn.Parameter> {
    const all = new Map<string, nn.Parameter>();
    for (const [part, module] of this.parts) {
      for (const [key, parameter] of module.namedParameters()) all.set(`${part}.${key}`, parameter);
    }
    return all;
  }
}

/** Self-distillation as a task of the training loop. */
export class DinoTask implements TrainingTask<DinoBatch> {
  readonly parts: ReadonlyMap<string, nn.Module>;
  readonly frozen: ReadonlyMap<string, nn.Module>;
  readonly #config: DinoConfig;
  readonly #loop: Pick<LoopConfig, 'batchSize' | 'steps'>;
  readonly #log: (line: string) => void;
  readonly #student: Network;
  readonly #teacher: Network;
  /** The average itself, in f32; the teacher's weights are its copy. */
  readonly #average = new Map<string, Tensor>();
  /** Running means of the teacher's scores, f32[K], where it is balanced by centring. */
  readonly #centres: { readonly cls: Tensor; readonly patch: Tensor } | null;

  constructor(
    config: DinoConfig,
    { batchSize, steps }: Pick<LoopConfig, 'batchSize' | 'steps'>,
    log: (line: string) => void = () => {},
  ) {
    this.#config = parseConfig(DinoConfig, config, 'The recipe');
    this.#loop = { batchSize, steps };
    this.#log = log;
    const { dtype, device, dropPath, balance, numPrototypes, patchHead } = config;
    this.#student = new Network(config);
    this.#teacher = new Network(config);
    for (const module of [...this.#student.parts.values(), ...this.#teacher.parts.values()]) {
      place(module, { dtype: 'f32', device });
    }
    for (const [key, parameter] of this.#student.parameters()) {
      this.#average.set(
        key,
        scope(() => keep(parameter.detach().clone())),
      );
    }
    for (const module of [...this.#student.parts.values(), ...this.#teacher.parts.values()]) module.to(dtype);
    this.#student.encoder.setDropPath(dropPath);
    for (const module of this.#teacher.parts.values()) module.requiresGrad_(false).eval();
    const centre = (size: number): Tensor => scope(() => keep(zeros([size], { device })));
    this.#centres =
      balance.kind === 'sinkhorn'
        ? null
        : { cls: centre(numPrototypes), patch: centre(patchHead?.numPrototypes ?? numPrototypes) };
    this.#copyToTeacher();
    this.parts = this.#student.parts;
    this.frozen = new Map([...this.#teacher.parts].map(([name, module]) => [`teacher.${name}`, module]));
  }

  openBatches(start: number): BatchSource<DinoBatch> {
    const { encoder, smallViews, smallSide, largeSide, largeArea, smallArea, colours, hidden, data } = this.#config;
    const { positions, redraw, placeWeight } = this.#config;
    const { batchSize } = this.#loop;
    const { imageSize, patchSize } = encoder.vit;
    const options: DinoBatchOptions = {
      ...{ batchSize, smallViews, smallSide, largeArea, smallArea, colours, hidden, data },
      ...{ positions, redraw, placeWeight },
      ...{ side: largeSide, grid: largeSide / patchSize, imageSide: imageSize, tableGrid: imageSize / patchSize },
    };
    const checked = { start, ...threadsOf(data), log: this.#log };
    return new CheckedBatches<DinoBatch>(new URL('./dino-batches.js', import.meta.url), options, checked);
  }

  /** Tokens of the student. */
  describe({ samples }: DinoBatch): BatchFacts {
    const { encoder, smallViews, smallSide, largeSide } = this.#config;
    const tokens = (side: number): number => numTokens({ ...encoder.vit, imageSize: side });
    return { samples, tokens: samples.length * (LARGE_VIEWS * tokens(largeSide) + smallViews * tokens(smallSide)) };
  }

  loss(batch: DinoBatch, step: number): Losses {
    const { encoder, smallViews, smallSide, largeSide, studentTemperature, dtype, device } = this.#config;
    const { batchSize } = this.#loop;
    const pictures = (bytes: Uint8Array, count: number, side: number): Tensor =>
      normalisePictures(bytes, count, side, encoder.image, dtype, device);
    const large = pictures(batch.large, LARGE_VIEWS * batchSize, largeSide);
    const hidden_M = tensor(batch.hidden).to(device);
    const temperature = teacherTemperature(this.#config.teacherTemperature, step);
    const numPatches = (largeSide / encoder.vit.patchSize) ** 2;
    const places =
      batch.positions === null
        ? null
        : tensor(batch.positions)
            .to(device)
            .reshape(LARGE_VIEWS * batchSize, numPatches);
    const asked = { hidden_M, matched_P: tensor(batch.matched.teacher).to(device), places };
    const targets = this.#targets(large, asked, temperature);

    const { head, patchHead, encoder: student } = this.#student;
    const mask = zeros([LARGE_VIEWS * batchSize * numPatches], { dtype: 'bool', device });
    mask.indexPut_([hidden_M], tensor(true).to(device));
    const seen = student.forwardTokens(large, { mask: mask.reshape(-1, numPatches), places });
    const largeCls = seen.cls as Tensor;
    const cls = [largeCls];
    if (smallViews > 0) {
      cls.push(student.forwardTokens(pictures(batch.small, smallViews * batchSize, smallSide)).cls as Tensor);
    }
    const frozen = { frozen: step < this.#config.freezePrototypes };
    const views = head.forward(cat(cls), frozen).split(batchSize);
    const ofPicture = clsLoss(views, targets.cls.split(batchSize), studentTemperature);
    const atPatches = (places_R: Tensor, targets_RK: Tensor): Tensor =>
      distil(
        patchHead.forward(seen.patches.flatten(0, 1).indexSelect(0, places_R), frozen),
        targets_RK,
        studentTemperature,
      );
    const nothing = zeros([], { device });
    const ofPatches =
      targets.hidden === null
        ? nothing
        : atPatches(hidden_M, targets.hidden).mul(tensor(batch.hiddenWeights).to(device)).sum();
    const ofPlaces =
      targets.matched === null ? nothing : atPatches(tensor(batch.matched.student).to(device), targets.matched).mean();
    // Pictures are spread, not the two views of one picture.
    const [first, second] = largeCls.split(batchSize) as [Tensor, Tensor];
    const spread = koleo(first).add(koleo(second));
    const { patchWeight, koleoWeight, placeWeight } = this.#config;
    const published = ofPicture.add(ofPatches.mul(patchWeight)).add(spread.mul(koleoWeight));
    const loss = placeWeight === 0 ? published : published.add(ofPlaces.mul(placeWeight));
    const used = targets.cls.mean(0);
    const metrics = {
      cls: ofPicture,
      patch: ofPatches,
      ...(placeWeight === 0 ? {} : { place: ofPlaces }),
      koleo: spread,
      // How sure the teacher is of one picture, in nats; the logarithm of K means it says nothing.
      teacher_entropy: targets.cls.add(1e-9).log().mul(targets.cls).sum(-1).mean().neg(),
      prototypes_used: used
        .gt(0.1 / used.numel)
        .to('f32')
        .mean(),
    };
    return { loss, metrics };
  }

  afterStep(step: number): void {
    const momentum = teacherMomentum(this.#config.teacherMomentum, step, this.#loop.steps);
    const sources = [...this.#student.parameters().values()].map((p) => p.detach().to('f32'));
    optim.emaUpdate([...this.#average.values()], sources, momentum);
    this.#copyToTeacher();
  }

  extraState(): ReadonlyMap<string, Tensor> {
    return new Map([
      ...this.#average,
      ...Object.entries(this.#centres ?? {}).map(([name, centre]) => [`centre.${name}`, centre] as const),
    ]);
  }

  /** After a resume the teacher is whatever the average says. */
  restored(): void {
    this.#copyToTeacher();
  }

  /** Writes the teacher, which is the better encoder. */
  export(folder: string): void {
    const prefix = 'encoder.';
    const weights = new Map(
      [...this.#average].filter(([key]) => key.startsWith(prefix)).map(([key, t]) => [key.slice(prefix.length), t]),
    );
    saveEncoder(folder, this.#config.encoder, weights);
  }

  /**
   * What the teacher says of the large views and of their patches at the hidden and at the matched places (null where there are
   * none): f32[2 * B, K], f32[M, K], f32[P, K]. Both kinds of patches are balanced together.
   */
  #targets(
    large: Tensor,
    { hidden_M, matched_P, places }: { hidden_M: Tensor; matched_P: Tensor; places: Tensor | null },
    temperature: number,
  ): { cls: Tensor; hidden: Tensor | null; matched: Tensor | null } {
    const { head, patchHead, encoder } = this.#teacher;
    return noGrad(() =>
      scope(() => {
        const { cls, patches } = encoder.forwardTokens(large, { places });
        const assigned = this.#assign(head.forward(cls as Tensor), 'cls', temperature);
        const [numHidden, numMatched] = [hidden_M.numel, matched_P.numel];
        if (numHidden + numMatched === 0) return { cls: assigned, hidden: null, matched: null };
        const asked = numMatched === 0 ? hidden_M : cat([hidden_M, matched_P]);
        const scores = patchHead.forward(patches.flatten(0, 1).indexSelect(0, asked));
        const ofPatches = this.#assign(scores, 'patch', temperature);
        return {
          cls: assigned,
          hidden: numHidden === 0 ? null : ofPatches.narrow(0, 0, numHidden),
          matched: numMatched === 0 ? null : ofPatches.narrow(0, numHidden, numMatched),
        };
      }),
    );
  }

  /** Scores to assignments, float[R, K] -> f32[R, K]; a centre moves behind its use. */
  #assign(scores_RK: Tensor, which: 'cls' | 'patch', temperature: number): Tensor {
    const { balance } = this.#config;
    if (balance.kind === 'sinkhorn') return sinkhorn(scores_RK, temperature, balance.iterations);
    const centre_K = this.#centres![which];
    const assigned = centred(scores_RK, centre_K, temperature);
    centre_K.lerp_(scores_RK.to('f32').mean(0), 1 - balance.momentum);
    return assigned;
  }

  #copyToTeacher(): void {
    const targets = this.#teacher.parameters();
    noGrad(() => foreachCopy([...targets.values()], [...this.#average.values()]));
  }
}
