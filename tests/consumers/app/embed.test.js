// Run by vitest and jest, by whose environment some globals are those of a simulated browser.
import { TextEmbedder } from 'pilotlight';
import { embed, TEXTS } from './embed.js';

const FILES = ['config.json', 'model.safetensors', 'modules.json', 'tokenizer.json', '1_Pooling/config.json'];

let answer;
test('a model is loaded from a host', async () => {
  answer = await embed(process.env.HUB);
  process.stdout.write(`\nANSWER ${JSON.stringify({ ...answer, dom: typeof document })}\n`);
}, 60_000);

test('a model is loaded from files as this environment has them', async () => {
  const blob = async (name) => {
    const response = await fetch(`${process.env.HUB}/test/bert-tiny-mean/resolve/main/${name}`);
    return [name, new Blob([new Uint8Array(await response.arrayBuffer())])];
  };
  const files = Object.fromEntries(await Promise.all(FILES.map(blob)));
  const embedder = await TextEmbedder.load('test/bert-tiny-mean', { files, dtype: 'f32', store: false });
  const { data } = await embedder.embed(TEXTS);
  embedder.dispose();
  expect(Array.from(data)).toEqual(answer.data);
}, 60_000);
