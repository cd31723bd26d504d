/** The head of self-distillation (DINO, 2104.14294; DINOv2, 2304.07193): an MLP to the unit sphere, then scores against learned prototypes. */
import { F, nn, randn, scope, type Tensor } from '@commlm/torch';

// Shapes: * any leading dimensions, D encoder width, Z bottleneck, K prototypes.

/** float[*, D] -> scores float[*, K]. */
export class DinoHead extends nn.Module {
  readonly fc1: nn.Linear;
  readonly fc2: nn.Linear;
  readonly fc3: nn.Linear;
  readonly prototypes: nn.Parameter;

  constructor(width: number, hidden: number, bottleneck: number, numPrototypes: number) {
    super();
    this.fc1 = new nn.Linear(width, hidden);
    this.fc2 = new nn.Linear(hidden, hidden);
    this.fc3 = new nn.Linear(hidden, bottleneck);
    for (const layer of [this.fc1, this.fc2, this.fc3]) {
      nn.init.truncNormal_(layer.weight, 0, 0.02);
      if (layer.bias) nn.init.zeros_(layer.bias);
    }
    this.prototypes = scope(() => new nn.Parameter(randn([numPrototypes, bottleneck])));
  }

  /**
   * Cosine of the bottleneck with each prototype: the last layer is normalised in its weights, whose lengths stay 1. With
   * `frozen` no gradient reaches the prototypes.
   */
  forward(x: Tensor, { frozen = false }: { frozen?: boolean } = {}): Tensor {
    return scope(() => {
      const z = this.fc3.forward(F.gelu(this.fc2.forward(F.gelu(this.fc1.forward(x)))));
      const prototypes = frozen ? this.prototypes.detach() : this.prototypes;
      return F.linear(F.normalize(z, -1), F.normalize(prototypes, -1));
    });
  }
}
