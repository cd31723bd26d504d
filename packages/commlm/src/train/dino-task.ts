/**
 * Pre-training of a DINOv2-type tower by self-distillation (2304.07193): a student sees all views, an averaged teacher
 * the large ones; the student predicts the teacher's prototypes of the picture (CLS) and of hidden patches.
 */
import { cat, F, keep, type nn, noGrad, op, optim, scope, type Tensor, tensor, zeros } from '@commlm/torch';
import type { EncoderConfig } from '../config/model.js';
import { DinoHead } from '../models/dino-head.js';
import { Dinov2Vision } from '../models/dinov2.js';
import { saveEncoder } from '../weights/encoder-folder.js';
import { BatchPool, type RawBatch } from './batch-pool.js';
import type { BatchSource, TrainingTask } from './loop.js';
import { normalisePictures } from './pixels.js';

// Shapes: B pictures, G large views, L small views, N patches, M hidden patches, D width, K prototypes.

/** Settings of self-distillation. */
export interface DinoConfig {
  readonly encoder: EncoderConfig;
  readonly batchSize: number;
  readonly steps: number;
  readonly headHidden: number;
  readonly bottleneck: number;
  readonly numPrototypes: number;
  readonly studentTemperature: number;
  readonly teacherTemperature: number;
  /** Share of the teacher kept at each step, from the first to the last one along a cosine. */
  readonly teacherMomentum: readonly [number, number];
  /** Weight of the hidden-patch loss and of the KoLeo spread. */
  readonly patchWeight: number;
  readonly koleoWeight: number;
  /** Small views per picture and their side in pixels. */
  readonly smallViews: number;
  readonly smallSide: number;
  readonly world: WorldViews;
}

/** Where the pictures come from. */
export interface WorldViews {
  readonly seed: number;
  readonly style: string;
}

/** One batch of views: large ones u8[2 * B, S, S, 3], small ones u8[L * B, s, s, 3], view by view; hidden patches of the large views. */
export interface DinoBatch extends RawBatch {
  readonly large: Uint8Array;
  readonly small: Uint8Array;
  /** Flat places [2 * B * N] of hidden patches. */
  readonly hidden: BigInt64Array;
}

const foreachCopy = op('aten::_foreach_copy_');

/** Large views of each picture. */
const LARGE_VIEWS = 2;

/** Teacher assignments by Sinkhorn-Knopp (SwAV, 2006.09882): rows sum to 1, prototypes are used evenly. float[R, K] -> float[R, K]. */
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

/** Mean cross-entropy of the student's scores against the teacher's assignments, float[R, K] each. */
function distil(student_RK: Tensor, teacher_RK: Tensor, temperature: number): Tensor {
  return student_RK.to('f32').div(temperature).logSoftmax(-1).mul(teacher_RK).sum(-1).mean().neg();
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

/** Self-distillation as a task of the training loop. */
export class DinoTask implements TrainingTask<DinoBatch> {
  readonly parts: ReadonlyMap<string, nn.Module>;
  readonly #config: DinoConfig;
  readonly #student: Dinov2Vision;
  readonly #studentHead: DinoHead;
  readonly #teacher: Dinov2Vision;
  readonly #teacherHead: DinoHead;
  /** The average itself, in f32; the teacher's bf16 weights are its copy. */
  readonly #average: Map<string, Tensor>;

  constructor(config: DinoConfig) {
    this.#config = config;
    const { vit } = config.encoder;
    const head = (): DinoHead =>
      new DinoHead(vit.hiddenSize, config.headHidden, config.bottleneck, config.numPrototypes);
    this.#student = new Dinov2Vision(vit);
    this.#studentHead = head();
    this.#teacher = new Dinov2Vision(vit);
    this.#teacherHead = head();
    this.#average = new Map();
    for (const [key, parameter] of this.#pairs(this.#student, this.#studentHead)) {
      this.#average.set(
        key,
        scope(() => keep(parameter.detach().to('f32').clone())),
      );
    }
    for (const module of [this.#student, this.#studentHead, this.#teacher, this.#teacherHead]) module.to('bf16');
    this.#teacher.requiresGrad_(false);
    this.#teacherHead.requiresGrad_(false);
    this.#copyToTeacher();
    this.parts = new Map<string, nn.Module>([
      ['encoder', this.#student],
      ['head', this.#studentHead],
    ]);
  }

  openBatches(start: number): BatchSource<DinoBatch> {
    const { encoder, batchSize, smallViews, smallSide, world } = this.#config;
    const { imageSize, patchSize } = encoder.vit;
    const options = { side: imageSize, patches: (imageSize / patchSize) ** 2, batchSize, smallViews, smallSide, world };
    return new BatchPool<DinoBatch>(new URL('./dino-batches.js', import.meta.url), options, { start });
  }

  loss(batch: DinoBatch): { loss: Tensor; metrics: Record<string, Tensor> } {
    const { encoder, batchSize, smallViews, smallSide, studentTemperature, teacherTemperature } = this.#config;
    const large = normalisePictures(batch.large, LARGE_VIEWS * batchSize, encoder.vit.imageSize, encoder.image, 'bf16');
    const small = normalisePictures(batch.small, smallViews * batchSize, smallSide, encoder.image, 'bf16');
    const hidden_M = tensor(batch.hidden);
    const [teacherCls, teacherPatches] = noGrad(() =>
      scope(() => {
        const { cls, patches } = this.#teacher.forwardTokens(large);
        const clsTargets = sinkhorn(this.#teacherHead.forward(cls as Tensor), teacherTemperature);
        const atHidden = patches.flatten(0, 1).indexSelect(0, hidden_M);
        return [clsTargets, sinkhorn(this.#teacherHead.forward(atHidden), teacherTemperature)] as const;
      }),
    );
    const numPatches = large.shape[0]! * (encoder.vit.imageSize / encoder.vit.patchSize) ** 2;
    const mask = zeros([numPatches], { dtype: 'bool' });
    mask.indexPut_([hidden_M], tensor(true));
    const studentLarge = this.#student.forwardTokens(large, { mask: mask.reshape(large.shape[0]!, -1) });
    const studentSmall = this.#student.forwardTokens(small);
    const largeCls = studentLarge.cls as Tensor;
    const scores = this.#studentHead.forward(cat([largeCls, studentSmall.cls as Tensor]));
    const views = scores.split(batchSize);
    const targets = teacherCls.split(batchSize);
    const pairs: Tensor[] = [];
    for (const [t, target] of targets.entries()) {
      for (const [v, view] of views.entries()) {
        if (v !== t) pairs.push(distil(view, target, studentTemperature));
      }
    }
    const clsLoss = pairs.reduce((sum, pair) => sum.add(pair)).div(pairs.length);
    const atHidden = studentLarge.patches.flatten(0, 1).indexSelect(0, hidden_M);
    const patchLoss = distil(this.#studentHead.forward(atHidden), teacherPatches, studentTemperature);
    const spread = koleo(largeCls.narrow(0, 0, batchSize)).add(koleo(largeCls.narrow(0, batchSize, batchSize)));
    const loss = clsLoss.add(patchLoss.mul(this.#config.patchWeight)).add(spread.mul(this.#config.koleoWeight));
    const used = teacherCls.mean(0);
    const metrics = {
      cls: clsLoss,
      patch: patchLoss,
      koleo: spread,
      // How sure the teacher is of one picture, in nats; the logarithm of K means it says nothing.
      teacher_entropy: teacherCls.add(1e-9).log().mul(teacherCls).sum(-1).mean().neg(),
      prototypes_used: used
        .gt(0.1 / used.numel)
        .to('f32')
        .mean(),
    };
    return { loss, metrics };
  }

  afterStep(step: number): void {
    const [first, last] = this.#config.teacherMomentum;
    const share = 0.5 * (1 + Math.cos((Math.PI * step) / this.#config.steps));
    const momentum = last + (first - last) * share;
    const sources = [...this.#pairs(this.#student, this.#studentHead).values()].map((p) => p.detach().to('f32'));
    optim.emaUpdate([...this.#average.values()], sources, momentum);
    this.#copyToTeacher();
  }

  extraState(): ReadonlyMap<string, Tensor> {
    return this.#average;
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

  #copyToTeacher(): void {
    const targets = this.#pairs(this.#teacher, this.#teacherHead);
    noGrad(() => foreachCopy([...targets.values()], [...this.#average.values()]));
  }

  #pairs(encoder: nn.Module, head: nn.Module): Map<string, nn.Parameter> {
    const out = new Map<string, nn.Parameter>();
    for (const [key, parameter] of encoder.namedParameters()) out.set(`encoder.${key}`, parameter);
    for (const [key, parameter] of head.namedParameters()) out.set(`head.${key}`, parameter);
    return out;
  }
}
