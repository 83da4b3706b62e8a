import type { Dtype } from './index.js';

/** A model that the build fetches, with the options of `pilotlight pull`. */
export interface PulledModel {
  model: string;
  /** Default `'q8'`. */
  dtype?: Dtype;
  /** Only the first layers of a sentence encoder. */
  layers?: number;
  /** The file that the weights are read from; default `'auto'`. */
  weights?: string;
  /** Branch, tag or commit; default `'main'`. */
  revision?: string;
  /** The host of the model; default `'https://huggingface.co'`. */
  host?: string;
  /** The environment variable with the host's token; default `HF_TOKEN` for the default host, and none for another. */
  tokenEnv?: string;
}

export interface PilotlightPluginOptions {
  /**
   * Models that are pulled into the public folder when the dev server or a build starts, unless they are there. A page loads them with
   * `host: new URL('models', document.baseURI).href`. The lock file `pilotlight-lock.json` beside a model's files has their digests and the commit: when it is
   * committed and the large files are not, a later build makes the same files again. Another `host` or other `weights` than those in the lock file pull
   * the model anew.
   */
  models?: readonly (string | PulledModel)[];
  /** The folder in the public folder that has the models; default `'models'`. */
  folder?: string;
  /**
   * Whether the dev and the preview server send the headers COOP and COEP, with which a page is cross-origin isolated: default `false`.
   * `true` means `'require-corp'`; with `'credentialless'` pictures and scripts of other origins load without a header of their own.
   */
  isolation?: boolean | 'require-corp' | 'credentialless';
  /** The name of the list of files for a service worker; default `'pilotlight-files.json'`. `false` makes none. */
  files?: string | false;
}

/**
 * The list of files for a service worker, as the build writes it; the dev server gives an empty one. Names are relative to the page's base.
 * Files of the public folder are not in it, and models need not be kept: Pilotlight has them in IndexedDB.
 */
export interface PilotlightFiles {
  /** Changes when one of the files does. */
  version: string;
  /** What the pages need to start: the pages, their scripts and their styles. */
  shell: string[];
  /** What may be needed later, such as each of the WebAssembly files, of which a browser needs one: to be kept once it was used. */
  onUse: string[];
}

/**
 * A plugin for Vite 5 to 8. It makes the dev server of Vite 5 to 7 leave the package as it is, which Vite 8 does by itself, and workers
 * modules, which the package's dynamic imports need.
 */
export declare function pilotlight(options?: PilotlightPluginOptions): { name: 'pilotlight' };
