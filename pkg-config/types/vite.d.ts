import type { Dtype } from './index.js';

/** A model that the build fetches, with the options of `pilotlight pull`. */
export interface PulledModel {
  model: string;
  /** The format of the packed weights; default `'q8'`. */
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
   * Models that are pulled into the public folder when the dev server or a build starts, unless the folder has them. A page loads them with
   * `host: new URL('models', document.baseURI).href`. The lock file `pilotlight-lock.json` beside a model's files has their digests and the commit: when it is
   * committed and the large files are not, a later build makes the same files again. Another `host` or other `weights` than those in the lock file pull
   * the model anew.
   */
  models?: readonly (string | PulledModel)[];
  /** The folder in the public folder that has the models; default `'models'`. */
  folder?: string;
  /**
   * Whether the dev and the preview server send the headers COOP and COEP, with which a page is cross-origin isolated: default `false`.
   * `true` means `'require-corp'`; with `'credentialless'`, images and scripts of other origins load without a header of their own.
   */
  isolation?: boolean | 'require-corp' | 'credentialless';
  /** The name of the list of files for a service worker; default `'pilotlight-files.json'`. `false` makes none. */
  files?: string | false;
}

/**
 * The list of files for a service worker, as the build writes it; the dev server gives an empty one. Names are relative to the page's base.
 * Files of the public folder are not in it, and models need not be cached: Pilotlight stores them in IndexedDB.
 */
export interface PilotlightFiles {
  /** The version, which changes when one of the files does. */
  version: string;
  /** The files that the pages need to start: the pages, their scripts and their styles. */
  shell: string[];
  /** The files that may be needed later, such as the WebAssembly files, of which a browser needs one: to be cached when they are first used. */
  onUse: string[];
}

/**
 * A plugin for Vite 5 to 8. It excludes the package from the dependency optimization of the dev server of Vite 5 to 7, which Vite 8 does not need,
 * and builds workers as modules, which the package's dynamic imports need.
 */
export declare function pilotlight(options?: PilotlightPluginOptions): { name: 'pilotlight' };
