// Embeds two sentences on the page and in a worker of its own, and shows both as `globalThis.answer`.
import { embed } from './embed.js';

const host = new URL('models', document.baseURI).href;

async function inWorker() {
  const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(host);
  });
}

const attempt = (work) =>
  work.then(
    (answer) => ({ isolated: crossOriginIsolated, ...answer }),
    (error) => ({ error: `${error.code}: ${error.message}` }),
  );
globalThis.answer = Promise.all([attempt(embed(host)), attempt(inWorker())]);
