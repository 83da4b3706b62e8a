import { embed } from './embed.js';

self.onmessage = ({ data: host }) =>
  embed(host).then(
    (answer) => postMessage({ ...answer, isolated: crossOriginIsolated }),
    (error) => postMessage({ error: `${error.code}: ${error.message}` }),
  );
