import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

/** Prints bytes, raw and gzip -9, of each core with its glue. */
export function printSizes(cores) {
  console.log('core          wasm        wasm.gz     glue        glue.gz     total.gz');
  for (const { name, wasm, script } of cores) {
    const [code, glue] = [readFileSync(wasm), readFileSync(script)];
    const [codeGz, glueGz] = [code, glue].map((bytes) => gzipSync(bytes, { level: 9 }).length);
    const columns = [code.length, codeGz, glue.length, glueGz, codeGz + glueGz];
    console.log(name.padEnd(14) + columns.map((bytes) => bytes.toLocaleString('en').padEnd(12)).join(''));
  }
}
