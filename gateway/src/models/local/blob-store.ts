/** Blobs as a `Store` of the package, which keeps the files of a host for the next start. */
import type { Store } from 'pilotlight';
import { pagesOf } from '../../blobs.ts';
import type { Blobs } from '../../host.ts';

/**
 * Names of blobs have letters, digits, `.`, `-`, `_` and single `/`; any other character, and `_`, is written as its code between two `_`.
 * The code of a character depends on no later one, so that keys with one start have names with one start.
 */
const encode = (key: string): string =>
  key.replace(/[^A-Za-z0-9./-]|(?<=\/)\//gu, (one) => `_${one.codePointAt(0)?.toString(16)}_`);

const decode = (name: string): string =>
  name.replace(/_([0-9a-f]+)_/g, (_, code: string) => String.fromCodePoint(Number.parseInt(code, 16)));

/** A store under a prefix of the blobs. */
export function blobStore(blobs: Blobs, prefix: string): Store {
  return {
    async get(key) {
      const object = await blobs.get(prefix + encode(key));
      return object && new Uint8Array(await new Response(object.body).arrayBuffer());
    },
    async put(key, bytes) {
      // The package's memory may move before the bytes are written.
      await blobs.put(prefix + encode(key), bytes.slice());
    },
    async delete(key) {
      await blobs.delete([prefix + encode(key)]);
    },
    async keys(start) {
      const keys: string[] = [];
      for await (const objects of pagesOf(blobs, prefix + encode(start))) {
        for (const { key } of objects) keys.push(decode(key.slice(prefix.length)));
      }
      return keys;
    },
  };
}
