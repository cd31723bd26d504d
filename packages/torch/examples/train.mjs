import { F, manualSeed, nn, optim, rand, scope } from '@commlm/torch';

// Learn which points of the square [-1, 1)^2 lie inside the circle of radius 0.7.
manualSeed(0);
const model = new nn.Sequential(new nn.Mlp(2, 32), new nn.LayerNorm(2), new nn.Linear(2, 2));
const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
const schedule = optim.cosineWithWarmup({ steps: 300, warmupSteps: 20 });

for (let step = 0; step < 300; step++) {
  const loss = scope(() => {
    const points = rand([256, 2]).mul(2).sub(1);
    const inside = points.pow(2).sum(1).lt(0.49).long();
    const loss = F.crossEntropy(model.forward(points), inside);
    loss.backward();
    optim.clipGradNorm(model.parameters(), 1);
    optimizer.step(schedule(step));
    optimizer.zeroGrad();
    return loss.item();
  });
  if (step % 60 === 0 || step === 299) console.log(`step ${step}  loss ${loss.toFixed(4)}`);
}
