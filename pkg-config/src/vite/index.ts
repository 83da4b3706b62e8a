/** The exports of `pilotlight/vite`. It has no core of its own: the code that fetches models is imported when there is a model to fetch. */
import path from 'node:path';
import type * as Api from '../../types/vite.js';
import { ProgressLine } from '../node/progress.js';
import { type Bundle, filesIn } from './files.js';

/** The settings of Vite that the plugin reads; their types differ between versions. */
interface Config {
  command: 'build' | 'serve';
  isPreview?: boolean;
  publicDir: string;
  base: string;
  build: { ssr?: unknown };
  logger: { info(text: string): void; error(text: string): void };
}

interface UserConfig {
  worker?: { format?: string };
}

interface DevServer {
  config: Config;
  middlewares: {
    use(
      path: string,
      handle: (
        request: unknown,
        response: { setHeader(name: string, value: string): void; end(text: string): void },
      ) => void,
    ): void;
  };
}

interface PluginContext {
  emitFile(file: { type: 'asset'; fileName: string; source: string }): void;
  /** The environment, since Vite 6: a build for a server is another one. */
  environment?: { name: string };
}

const FILES = 'pilotlight-files.json';

/** Makes the plugin. */
export const pilotlight: typeof Api.pilotlight = ({
  models = [],
  folder = 'models',
  isolation = false,
  files = FILES,
} = {}) => {
  let config: Config;
  return {
    name: 'pilotlight',

    config(given: UserConfig) {
      const headers = isolationHeaders(isolation);
      return {
        // The dev server of Vite 5 to 7 would move the scripts, which then look for the WebAssembly files beside them in vain.
        optimizeDeps: { exclude: ['pilotlight'] },
        // A worker in the default format has no dynamic import.
        worker: { format: given.worker?.format ?? 'es' },
        ...(headers && { server: { headers }, preview: { headers } }),
      };
    },

    // The dev server lists the public folder when it starts, which comes after this.
    async configResolved(resolved: Config) {
      config = resolved;
      if (config.isPreview || models.length === 0) return;
      if (!config.publicDir)
        throw new Error("pilotlight: models are pulled into the public folder, but 'publicDir' is false");
      for (const model of models) await pullInto(path.join(config.publicDir, folder), model, config);
    },

    configureServer({ config, middlewares }: DevServer) {
      if (files === false) return;
      middlewares.use(`${new URL(config.base, 'http://localhost').pathname}${files}`, (_request, response) => {
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify({ version: 'dev', shell: [], onUse: [] } satisfies Api.PilotlightFiles));
      });
    },

    generateBundle: {
      order: 'post' as const,
      handler(this: PluginContext, _options: unknown, bundle: Bundle) {
        if (files === false || config.build.ssr || (this.environment?.name ?? 'client') !== 'client') return;
        this.emitFile({ type: 'asset', fileName: files, source: JSON.stringify(filesIn(bundle)) });
      },
    },
  };
};

function isolationHeaders(isolation: Api.PilotlightPluginOptions['isolation']): Record<string, string> | undefined {
  if (!isolation) return undefined;
  return {
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': isolation === true ? 'require-corp' : isolation,
  };
}

const HUB = 'https://huggingface.co';

async function pullInto(out: string, wanted: string | Api.PulledModel, { command, logger }: Config): Promise<void> {
  const given = typeof wanted === 'string' ? { model: wanted } : wanted;
  const { model, dtype = 'q8', revision = 'main', host = HUB, layers, weights } = given;
  // The hub's token must not be sent to another host.
  const variable = given.tokenEnv ?? (host === HUB ? 'HF_TOKEN' : undefined);
  const token = variable === undefined ? undefined : process.env[variable]?.trim();
  const line = new ProgressLine(process.stderr);
  const options = {
    model,
    dtype,
    revision,
    host,
    out,
    ...(layers !== undefined && { layers }),
    ...(weights !== undefined && { weights }),
    ...(token && { token }),
    signal: new AbortController().signal,
    // A log gets one line at the end, a terminal one that changes.
    onProgress: (event: Parameters<ProgressLine['show']>[0]) => process.stderr.isTTY && line.show(event),
  };
  try {
    const { pullOnce } = await import('../node/pull-once.js');
    const pulled = await pullOnce(options, command === 'build');
    line.end();
    if (pulled) logger.info(`pilotlight: ${model} is in ${pulled.folder}, commit ${pulled.commit}`);
  } catch (error) {
    line.end();
    const words = `pilotlight: ${model}: ${(error as Error).message}`;
    if (command === 'build') throw new Error(words, { cause: error });
    // Without a network the rest of an app can still be worked on.
    logger.error(words);
  }
}
