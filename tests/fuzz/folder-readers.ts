/** Readers of the files around the weights: adapters, indexes, templates, settings of a tokenizer, our own config.json. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Reader } from './readers.js';

const inner = (path: string): string => new URL(`../../../packages/commlm/dist/${path}`, import.meta.url).href;
const { withLora } = (await import(
  inner('weights/lora.js')
)) as typeof import('../../packages/commlm/dist/weights/lora.js');
const { WeightFiles } = (await import(
  inner('weights/files/weight-files.js')
)) as typeof import('../../packages/commlm/dist/weights/files/weight-files.js');
const { readCommConfig } = (await import(
  inner('weights/comm-folder.js')
)) as typeof import('../../packages/commlm/dist/weights/comm-folder.js');
const { Tokenizer } = (await import(
  inner('text/tokenizer.js')
)) as typeof import('../../packages/commlm/dist/text/tokenizer.js');
const { renderChatTemplate } = (await import(
  inner('text/chat-template.js')
)) as typeof import('../../packages/commlm/dist/text/chat-template.js');
const { loadHfEncoder } = (await import(
  inner('weights/encoder-reader.js')
)) as typeof import('../../packages/commlm/dist/weights/encoder-reader.js');
const { Comm } = (await import(inner('models/comm.js'))) as typeof import('../../packages/commlm/dist/models/comm.js');

const golden = (name: string): string => fileURLToPath(new URL(`../../golden/${name}`, import.meta.url));
const embedded = fileURLToPath(new URL('../../../models/comm-tiny', import.meta.url));

const TEMPLATES = [
  "{{ bos_token }}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{{ message['content'] | trim }} {{ eos_token }}{% endfor %}",
  "{% for message in messages %}{{ message['role'].upper() }}: {% for part in message['content'] if part['type'] == 'image' %}<image>\\n{% endfor %}{% endfor %}",
];

/** A folder with these files, made once and filled by `write` for each input. */
function prepared(folder: string, name: string, fill: (path: string) => void): string {
  const path = join(folder, name);
  if (mkdirSync(path, { recursive: true }) !== undefined) fill(path);
  return path;
}

/** All of them. */
export function listFolderReaders(): Reader[] {
  const tokenizers = JSON.parse(readFileSync(golden('text/tokenizers.json'), 'utf8')) as {
    tokenizerJson: unknown;
    tokenizerConfig: object;
  }[];
  const withTokenizer = (folder: string): string =>
    prepared(folder, 'tokenizer', (path) =>
      writeFileSync(join(path, 'tokenizer.json'), JSON.stringify(tokenizers[0]!.tokenizerJson)),
    );
  const adapters = ['llama', 'llama-patterns', 'llama-dora'];
  return [
    {
      name: 'adapter_config.json',
      seeds: adapters.map((name) => readFileSync(golden(`lora/${name}/adapter_config.json`))),
      read: (bytes, folder) => {
        const path = prepared(folder, 'adapter', (to) =>
          cpSync(golden('lora/llama/adapter_model.safetensors'), join(to, 'adapter_model.safetensors')),
        );
        writeFileSync(join(path, 'adapter_config.json'), bytes);
        withLora(WeightFiles.open(golden('models/llama')), path).close();
      },
    },
    {
      name: 'adapter_model.safetensors',
      seeds: [readFileSync(golden('lora/llama/adapter_model.safetensors'))],
      read: (bytes, folder) => {
        const path = prepared(folder, 'adapter-weights', (to) =>
          cpSync(golden('lora/llama/adapter_config.json'), join(to, 'adapter_config.json')),
        );
        writeFileSync(join(path, 'adapter_model.safetensors'), bytes);
        withLora(WeightFiles.open(golden('models/llama')), path).close();
      },
    },
    {
      name: 'index of torch shards',
      seeds: [readFileSync(golden('torch-weights/sharded/pytorch_model.bin.index.json'))],
      read: (bytes, folder) => {
        const path = prepared(folder, 'sharded', (to) =>
          cpSync(golden('torch-weights/sharded'), to, { recursive: true }),
        );
        writeFileSync(join(path, 'pytorch_model.bin.index.json'), bytes);
        WeightFiles.open(path).close();
      },
    },
    {
      name: 'tokenizer_config.json',
      seeds: tokenizers.map(({ tokenizerConfig }) =>
        Buffer.from(JSON.stringify({ ...tokenizerConfig, chat_template: TEMPLATES[0], model_max_length: 2048 })),
      ),
      read: async (bytes, folder) => {
        const path = withTokenizer(folder);
        writeFileSync(join(path, 'tokenizer_config.json'), bytes);
        const tokenizer = await Tokenizer.load(path);
        tokenizer.decode(tokenizer.encode('A café </s> dog', { addSpecial: true }));
        if (tokenizer.chatTemplate !== undefined) renderChatTemplate([{ role: 'user', content: 'A dog?' }], tokenizer);
      },
    },
    {
      name: 'chat_template.jinja',
      seeds: TEMPLATES.map((text) => Buffer.from(text)),
      read: (bytes) => {
        const tokenizer = new Tokenizer(tokenizers[0]!.tokenizerJson as ConstructorParameters<typeof Tokenizer>[0]);
        const template = Buffer.from(bytes).toString();
        const plain = [
          { role: 'system', content: 'Be kind.' },
          { role: 'user', content: 'A dog?' },
        ];
        const parts = [{ type: 'image' as const }, { type: 'text' as const, text: 'A dog?' }];
        const takesParts = template.includes("part['type']");
        renderChatTemplate(takesParts ? [{ role: 'user', content: parts }] : plain, tokenizer, { template });
      },
    },
    {
      name: 'open_clip_config.json',
      seeds: [readFileSync(golden('encoders/open-clip/open_clip_config.json'))],
      read: (bytes, folder) => {
        const path = prepared(folder, 'open-clip', (to) =>
          cpSync(golden('encoders/open-clip'), to, { recursive: true }),
        );
        writeFileSync(join(path, 'open_clip_config.json'), bytes);
        loadHfEncoder(path).vit.dispose();
      },
    },
    {
      name: 'config.json of ours',
      seeds: [readFileSync(join(embedded, 'config.json'))],
      read: (bytes, folder) => {
        const path = prepared(folder, 'ours', () => {});
        writeFileSync(join(path, 'config.json'), bytes);
        const config = readCommConfig(path);
        Comm.outline(config).dispose();
      },
    },
  ];
}
