import { embed } from './embed.js';

self.onmessage = ({ data: host }) =>
  embed(host).then(postMessage, (error) => postMessage({ error: `${error.code}: ${error.message}` }));
