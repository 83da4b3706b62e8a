// The faults of a host and of the network, which a test sets: setFaults([{ file: /safetensors$/, fault: 'stall', value: 1e6, times: 1 }]).
import { once as event } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * @typedef {object} Fault
 * @property {string | RegExp} [file] the file it strikes ('tree' and 'revision' are the two API calls); without it, every request
 * @property {string} [model] 'org/name'; without it, every model
 * @property {'status' | 'html' | 'body' | 'redirect' | 'do' | 'flip' | 'short' | 'truncate' | 'stall' | 'reset' | 'drip' | 'long' | 'length' | 'gzip' | 'unranged' | 'shift' | 'lie' | 'etag' | 'other'} fault
 *   status    `value` is the HTTP status; `headers` may add Retry-After and the like
 *   html      200 with a web page, as a captive portal or a single-page host answers
 *   body      200 with `value` (bytes or text) in place of the file
 *   redirect  302 to the same path at the origin `value`; '' leads back here, so round and round
 *   do        calls `value()` and then answers as if nothing was, to change the world between two requests
 *   flip      one bit of byte `value` of the file is another one
 *   short     the file up to byte `value`, with a Content-Length that agrees
 *   truncate  the file up to byte `value`, then the connection closes although Content-Length promised more
 *   stall     the file up to byte `value`, then nothing for as long as the client waits
 *   reset     the file up to byte `value`, then a TCP reset
 *   drip      `value` bytes per second
 *   long      the whole file and `value` bytes behind it, with a Content-Length that agrees
 *   length    a Content-Length that is off by `value`, whose connection then closes
 *   gzip      the whole file compressed, where the client takes that (Chromium does not for a range); Content-Length is that of the
 *             compressed bytes, and Content-Encoding is hidden from other origins
 *   unranged  200 with the whole file, whatever range was requested
 *   shift     206 with the range that begins `value` bytes after the requested one, and a Content-Range that agrees
 *   lie       206 with the bytes of the range `value` bytes after the requested one, and the Content-Range of the requested one
 *   etag      the right bytes under the ETag `value`
 *   other     other bytes (each with another lowest bit) under the ETag `value`
 * @property {number | string | Uint8Array | (() => unknown)} [value]
 * @property {Record<string, string>} [headers] put over those of the answer
 * @property {number} [skip] the number of requests that pass before it strikes
 * @property {number} [times] strikes so often, then stops; without it, always
 */

/** The first fault in the table that fits, counted down. */
export function faultFor(faults, route) {
  const fits = ({ file, model }) =>
    (!model || model === route.model) &&
    (file === undefined || (file instanceof RegExp ? file.test(route.file) : file === route.file));
  for (const fault of faults) {
    if (fault.left <= 0 || !fits(fault)) continue;
    if (fault.pass > 0) {
      fault.pass -= 1;
      continue;
    }
    fault.left -= 1;
    return fault;
  }
  return undefined;
}

const PAGE =
  '<!doctype html><html><head><title>Welcome</title></head><body><h1>Sign in to the network</h1></body></html>';

export const misbehave = {
  /** Faults that answer in place of the hub. True when the answer was given. */
  async early({ fault, value, headers = {} }, request, response) {
    if (fault === 'do') {
      await value();
      return false;
    }
    if (fault === 'redirect') {
      response.writeHead(302, { Location: `${value}${request.url}`, 'Content-Length': 0, ...headers }).end();
      return true;
    }
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
    if (fault === 'flip') return mapped(response, stream, (byte, at) => (at === value - start ? byte ^ 1 : byte));
    if (fault === 'other') return mapped(response, stream, (byte) => byte ^ 1);
    if (fault === 'long') {
      await writeFirst(response, stream, length);
      return void response.end(Buffer.alloc(value));
    }
    if (fault === 'length') {
      await writeFirst(response, stream, length);
      await sleep(50);
      return void response.socket?.end();
    }
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

/** The stream with each byte changed by `change(byte, position)`. */
async function mapped(response, stream, change) {
  let position = 0;
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk).map((byte, i) => change(byte, position + i));
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
