// Answers requests by their meaning: `node routes.mjs [host]`, then `curl -d 'can I send these shoes back?' localhost:8080`.
import http from 'node:http';
import { SemanticRouter, TextEmbedder } from 'pilotlight';
import { fileStore } from 'pilotlight/node';

const host = process.argv[2] ?? process.env.MODEL_HOST ?? 'https://huggingface.co';
const store = fileStore(process.env.MODEL_STORE ?? './models');
const ROUTES = [
  {
    name: 'returns',
    utterances: [
      'I want to send this back',
      'how do I return an order',
      'can I get my money back',
      'the shoes do not fit me',
      'I changed my mind about the jacket',
      'where do I print a return label',
    ],
  },
  {
    name: 'delivery',
    utterances: [
      'where is my parcel',
      'when will my order arrive',
      'the package has not come yet',
      'can you deliver on Saturday',
      'track my shipment',
      'it was sent to the wrong address',
    ],
  },
  {
    name: 'opening hours',
    utterances: [
      'when do you open',
      'are you open on Sunday',
      'what time does the shop close',
      'are you closed on holidays',
      'can I come by at eight in the evening',
      'how late are you there today',
    ],
  },
];

// Weights and learned routes stay in a folder, so that the next start needs no network and learns nothing. After a change of the
// routes above, call `TextClassifier.delete('shop', { store })`, or save them under another name.
const embedder = await TextEmbedder.load('sentence-transformers/all-MiniLM-L6-v2', { host, store });
let router = await SemanticRouter.open(embedder, 'shop', { store });
if (!router) {
  router = await SemanticRouter.create(embedder, ROUTES);
  await router.save('shop', { store });
}
router
  .on('returns', () => 'You have 30 days. Print a label at /returns.')
  .on('delivery', () => 'Your parcel is at /track.')
  .on('opening hours', () => `Monday to Saturday, 9 to 18. It is ${new Date().toLocaleTimeString('en')}.`)
  .on(null, () => 'I do not know. A person will answer you.');

const server = http.createServer(async (request, response) => {
  try {
    // This throws where the client leaves before all has arrived.
    const parts = [];
    for await (const part of request) parts.push(part);
    const text = Buffer.concat(parts).toString();
    const { name, probability, nearest, result } = await router.route(text);
    response.setHeader('content-type', 'application/json');
    response.end(`${JSON.stringify({ route: name, probability, nearest: nearest.text, answer: result })}\n`);
  } catch (error) {
    response.statusCode = error.code === 'INVALID_INPUT' ? 400 : 500;
    response.end(`${error.message}\n`);
  }
});
server.listen(Number(process.env.PORT ?? 8080), () => console.log(`http://localhost:${server.address().port}`));
