import { cores } from '../runtime/thread.js';
import { type Thread, threads } from '../runtime/threads.js';
import type { Port } from './peer.js';
import { serve } from './serve.js';

const parent = threads()?.parentPort as Pick<Thread, 'postMessage' | 'on'>;
const port: Port = {
  onmessage: null,
  postMessage: (message, transfer) => parent.postMessage(message, transfer),
};
// Deno delivers no message of another thread as long as channels of this one have some, by which the core gives way.
if ('Deno' in globalThis) Reflect.deleteProperty(globalThis, 'MessageChannel');
parent.on('message', (data) => port.onmessage?.({ data }));
serve(port, cores, () => {});
