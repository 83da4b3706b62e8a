// Compares sentences by their meaning: `node index.mjs [host]`
import { TextEmbedder } from 'pilotlight';

const host = process.argv[2] ?? process.env.MODEL_HOST ?? 'https://huggingface.co';
const sentences = [
  'A man is playing a guitar.',
  'Someone plays an instrument with strings.',
  'The train to the coast leaves at nine.',
  'When does the railway service to the sea depart?',
];

const embedder = await TextEmbedder.load('sentence-transformers/all-MiniLM-L6-v2', { host });
const { device, dtype, simd } = embedder.backend;
console.log(`${embedder.dimensions} dimensions on ${device}, ${dtype}, ${simd}`);

const { data, dims } = await embedder.embed(sentences);
const [count, dimensions] = dims;
const row = (i) => data.subarray(i * dimensions, (i + 1) * dimensions);
// The vectors have length 1, so their dot product is their cosine.
const cosine = (a, b) => a.reduce((sum, value, k) => sum + value * b[k], 0);

for (let i = 0; i < count; i++) {
  for (let j = i + 1; j < count; j++) {
    console.log(`${cosine(row(i), row(j)).toFixed(3)}  ${sentences[i]}  |  ${sentences[j]}`);
  }
}
embedder.dispose();
