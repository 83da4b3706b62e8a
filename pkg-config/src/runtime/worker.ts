/** The entry of `worker.js`. A worker starts no further ones: some bundlers never end when a script leads to itself. */
export { cores } from './fetched.js';
