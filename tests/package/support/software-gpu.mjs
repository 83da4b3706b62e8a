// Programs that load a model on the software GPU of Debian's Chromium, in Node or another runtime.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { ROOT, tinyFolder } from './models.mjs';

const CHROMIUM_FILES = '/usr/lib/chromium';
const DRIVER = path.join(CHROMIUM_FILES, 'vk_swiftshader_icd.json');

/** Variables by which a process finds SwiftShader and the Vulkan loader of Chromium. */
export const SOFTWARE_GPU = { LD_LIBRARY_PATH: CHROMIUM_FILES, VK_DRIVER_FILES: DRIVER };

/** Why there is no such GPU on this machine; false where there is one. */
export const missingGpu = !existsSync(DRIVER) && `there is no ${DRIVER}, which Debian's Chromium has`;

const PROGRAM = path.join(ROOT, 'tests/package/support/webgpu-process.mjs');

/** Loads and embeds with the package in `folder`, in a process of a runtime that is started by `command`, and returns what it printed. */
export async function embedElsewhere(folder, command, { env = {}, options }) {
  const script = pathToFileURL(path.join(folder, 'inline.js')).href;
  const words = JSON.stringify({ folder: tinyFolder('bert-tiny-mean'), script, options });
  const [program, ...before] = command;
  const { stdout } = await promisify(execFile)(program, [...before, PROGRAM, words], {
    env: { ...process.env, LD_LIBRARY_PATH: '', VK_DRIVER_FILES: '', ...env },
    timeout: 120_000,
  });
  return JSON.parse(stdout);
}
