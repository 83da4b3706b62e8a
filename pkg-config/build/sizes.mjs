import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

/** Prints the sizes of each core and its glue in bytes, raw and after gzip -9. */
export function printSizes(cores) {
  console.log('core          wasm        wasm.gz     glue        glue.gz     total.gz');
  for (const { name, wasm, script } of cores) {
    const [code, glue] = [readFileSync(wasm), readFileSync(script)];
    const [codeGz, glueGz] = [code, glue].map((bytes) => gzipSync(bytes, { level: 9 }).length);
    const columns = [code.length, codeGz, glue.length, glueGz, codeGz + glueGz];
    console.log(name.padEnd(14) + columns.map((bytes) => bytes.toLocaleString('en').padEnd(12)).join(''));
  }
}
