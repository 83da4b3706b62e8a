// Run with --expose-gc: embeds 20,000 texts and prints how many bytes of array buffers are left of it, as JSON.
import { TextEmbedder } from 'pilotlight';
import { seededBert } from './seeded-bert.mjs';

const files = seededBert({ layers: 1, dimensions: 384, intermediate: 32 });
const embedder = await TextEmbedder.load('test/seeded', { files });
const texts = Array.from({ length: 64 }, (_, i) => String.fromCharCode(97 + (i % 26)));

async function arrayBuffers() {
  // Objects that an ended task of the event loop still references, and buffers that are freed by a later one, take several rounds.
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    global.gc();
  }
  return process.memoryUsage().arrayBuffers;
}

async function embed(count) {
  let values = 0;
  for (let done = 0; done < count; done += texts.length) {
    const { data } = await embedder.embed(texts);
    values += data.length;
  }
  return values;
}

// The first calls take what later ones use again.
await embed(640);
const before = await arrayBuffers();
const values = await embed(20_000);
console.log(JSON.stringify({ values, before, after: await arrayBuffers() }));
