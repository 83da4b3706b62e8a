/** The parts of the package that training needs and that are not public: bundled from their sources, on the core of the built package. */
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const KEPT = path.join(ROOT, 'target/detector');

const SOURCES = {
  normalize: ['normalize'],
  language: ['isEnglish'],
  windows: ['windowsOf', 'WINDOW_WORDS'],
  readers: ['readLikelihoods'],
  features: ['featuresOf'],
  fitting: ['auroc'],
  fitted: ['linearHead'],
  'vector-head': ['VectorHead', 'columnsOf'],
  head: ['scoreOf', 'distanceOf', 'checkHead'],
  statistics: ['upperThreshold', 'quantileOf', 'shareInterval'],
  verdict: ['MIN_TOKENS', 'judge'],
};

/** Cores are taken from the built package, whatever folder the bundle is in. */
const builtCores = {
  name: 'built-cores',
  setup({ onResolve }) {
    onResolve({ filter: /^#core\// }, ({ path: name }) => ({
      path: pathToFileURL(path.join(ROOT, 'dist/package', name.slice(1))).href,
      external: true,
    }));
  },
};

/** Bundles the parts and imports them; `cpu` gives the core that heads are fitted in. */
export async function parts() {
  const outfile = path.join(KEPT, `parts-${process.pid}.mjs`);
  const lines = Object.entries(SOURCES).map(([file, names]) => `export { ${names} } from './detector/${file}.js';`);
  lines.push(`import { cores } from '#runtime'; export const cpu = () => cores.cpu.instance();`);
  const { outputFiles } = await build({
    stdin: { contents: lines.join('\n'), resolveDir: path.join(ROOT, 'pkg-config/src'), loader: 'ts' },
    absWorkingDir: path.join(ROOT, 'pkg-config/src'),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    conditions: ['inline'],
    define: { __PILOTLIGHT_VERSION__: '"training"' },
    plugins: [builtCores],
    write: false,
    outfile,
    logLevel: 'warning',
  });
  const [{ text }] = outputFiles;
  return import(`data:text/javascript;base64,${Buffer.from(text).toString('base64')}`);
}
