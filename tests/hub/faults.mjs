// What can go wrong on the way from a host, as a table: setFaults([{ file: /safetensors$/, fault: 'stall', value: 1e6, times: 1 }]).
import { once as event } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * @typedef {object} Fault
 * @property {string | RegExp} [file] the file it strikes ('tree' and 'revision' are the two API calls); without it, every request
 * @property {string} [model] 'org/name'; without it, every model
 * @property {'status' | 'html' | 'body' | 'flip' | 'short' | 'truncate' | 'stall' | 'reset' | 'drip'} fault
 *   status    `value` is the HTTP status; `headers` may add Retry-After and the like
 *   html      200 with a web page, as a captive portal or a single-page host answers
 *   body      200 with `value` (bytes or text) in place of the file
 *   flip      one bit of byte `value` of the file is another one
 *   short     the file up to byte `value`, with a Content-Length that agrees
 *   truncate  the file up to byte `value`, then the connection closes although Content-Length promised more
 *   stall     the file up to byte `value`, then nothing for as long as the client waits
 *   reset     the file up to byte `value`, then a TCP reset
 *   drip      `value` bytes per second
 * @property {number | string | Uint8Array} [value]
 * @property {Record<string, string>} [headers]
 * @property {number} [times] strikes so often, then stops; without it, always
 */

/** The first fault in the table that fits, counted down. */
export function faultFor(faults, route) {
  const hit = faults.find(
    ({ file, model, left }) =>
      left > 0 && (!model || model === route.model) && (file === undefined || (file instanceof RegExp ? file.test(route.file) : file === route.file)),
  );
  if (hit) hit.left -= 1;
  return hit;
}

const PAGE = '<!doctype html><html><head><title>Welcome</title></head><body><h1>Sign in to the network</h1></body></html>';

export const misbehave = {
  /** Faults that answer in place of the hub. True when the answer was given. */
  async early({ fault, value, headers = {} }, response) {
    if (fault === 'status') {
      response.writeHead(value, { 'Content-Type': 'text/plain', ...headers }).end(`fault: ${value}\n`);
      return true;
    }
    if (fault === 'html' || fault === 'body') {
      const body = Buffer.from(fault === 'html' ? PAGE : value);
      const type = fault === 'html' ? 'text/html; charset=utf-8' : 'application/octet-stream';
      response.writeHead(200, { 'Content-Type': type, 'Content-Length': body.length, ...headers }).end(body);
      return true;
    }
    if (fault === 'reset' && !value) {
      response.socket.resetAndDestroy();
      return true;
    }
    if (fault === 'stall' && !value) {
      await event(response, 'close');
      return true;
    }
    return false;
  },

  /** Faults in the middle of a file, of which `length` bytes from `start` on were asked for. */
  async body({ fault, value }, response, stream, start, length) {
    if (fault === 'drip') return drip(response, stream, value);
    if (fault === 'flip') return flip(response, stream, value - start);
    const keep = Math.max(0, Math.min(value - start, length));
    if (fault === 'short') {
      response.setHeader('Content-Length', keep);
      response.removeHeader('ETag'); // another file than the whole one, to the browser's cache too
    }
    await writeFirst(response, stream, keep);
    if (fault === 'short') return void response.end();
    if (fault === 'stall') return void (response.destroyed || (await event(response, 'close')));
    await sleep(50); // lets the bytes leave before the connection goes
    if (fault === 'reset') response.socket?.resetAndDestroy();
    else response.socket?.end();
  },
};

async function flip(response, stream, at) {
  let position = 0;
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk);
    if (at >= position && at < position + bytes.length) bytes[at - position] ^= 1;
    position += bytes.length;
    if (response.destroyed) return;
    if (!response.write(bytes)) await room(response);
  }
  response.end();
}

async function writeFirst(response, stream, keep) {
  response.flushHeaders();
  if (keep === 0) return;
  let left = keep;
  for await (const chunk of stream) {
    const part = chunk.subarray(0, left);
    left -= part.length;
    if (response.destroyed) return;
    if (part.length && !response.write(part)) await room(response);
    if (left <= 0) return;
  }
}

/** Waits until more can be written, or nothing can any more. */
function room(response) {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
  });
}

async function drip(response, stream, bytesPerSecond) {
  const slice = Math.max(1, Math.round(bytesPerSecond / 20));
  const started = performance.now();
  let sent = 0;
  for await (const chunk of stream) {
    for (let at = 0; at < chunk.length; at += slice) {
      if (response.destroyed) return;
      const part = chunk.subarray(at, at + slice);
      response.write(part);
      sent += part.length;
      const ahead = (sent / bytesPerSecond) * 1000 - (performance.now() - started);
      if (ahead > 10) await sleep(ahead);
    }
  }
  response.end();
}
