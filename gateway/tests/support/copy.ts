/** A copy of the gateway's folder, so that a test has a `.wrangler` and a `models.jsonc` of its own. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const GATEWAY = join(import.meta.dirname, '../..');
const COPIED = ['cli.ts', 'with-node.mjs', 'src', 'migrations', 'models.jsonc', 'wrangler.jsonc', 'package.json'];

/** The copy has the same dependencies, but those that are named. */
export function copyWithout(...names: string[]): { folder: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'gateway-copy-'));
  for (const entry of COPIED) cpSync(join(GATEWAY, entry), join(folder, entry), { recursive: true });
  mkdirSync(join(folder, 'node_modules'));
  for (const entry of readdirSync(join(GATEWAY, 'node_modules'))) {
    if (!names.includes(entry)) symlinkSync(join(GATEWAY, 'node_modules', entry), join(folder, 'node_modules', entry));
  }
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
