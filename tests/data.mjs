// The data that tests read and that is not in the repository; tests/README.md lists it.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder with the data. */
export const DATA = process.env.PILOTLIGHT_DATA ?? fileURLToPath(new URL('../../shared/data', import.meta.url));

/** Whether `make figures` runs the tests: those that take long do all that they can. */
export const FIGURES = process.env.PILOTLIGHT_FIGURES === '1';

/**
 * The value of `skip` for a test that reads these files: a reason if `PILOTLIGHT_DATA` is `none`, by which a contributor leaves
 * such tests out, else false. Throws if a file is missing, so that no test is left out unnoticed.
 * @param {...string} files Paths inside `DATA`.
 */
export function skipWithout(...files) {
  if (DATA === 'none') return 'PILOTLIGHT_DATA is none';
  const missing = files.find((file) => !existsSync(path.join(DATA, file)));
  if (missing === undefined) return false;
  throw new Error(
    `${DATA} has no ${missing}: set PILOTLIGHT_DATA to the folder that tests/README.md describes, or to none to leave its tests out`,
  );
}
