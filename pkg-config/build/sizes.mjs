import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

/** Prints the sizes of each core and its glue in bytes, raw and after gzip -9, and those of the image decoders, which have no glue. */
export function printSizes(cores, images) {
  console.log('core          wasm        wasm.gz     glue        glue.gz     total.gz');
  for (const { name, wasm, script } of [...cores, { name: 'images', wasm: images }]) {
    const [code, glue] = [readFileSync(wasm), script ? readFileSync(script) : Buffer.alloc(0)];
    const [codeGz, glueGz] = [code, glue].map((bytes) => (bytes.length ? gzipSync(bytes, { level: 9 }).length : 0));
    const columns = [code.length, codeGz, glue.length, glueGz, codeGz + glueGz];
    console.log(name.padEnd(14) + columns.map((bytes) => bytes.toLocaleString('en').padEnd(12)).join(''));
  }
}
