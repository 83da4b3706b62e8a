// The tiny CLIPs of tests/goldens on a hub, what transformers answers for them, and how their tests load them.
import { after, before } from 'node:test';
import { ImageTextEmbedder } from 'pilotlight';
import { startHub } from '../../hub/hub.mjs';
import { clipGolden, imageFile, seededClip } from './clip.mjs';
import { CLIPS } from './goldens.mjs';
import { filesOf, tinyFolder } from './models.mjs';

export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
export const lacking = (wish) => ({ name: 'PilotlightError', code: 'INVALID_INPUT', ...wish });
export const ABORTED = { name: 'PilotlightError', code: 'ABORTED' };

export const GOLDENS = Object.fromEntries(CLIPS.map((name) => [name, clipGolden(name)]));
export const IMAGES = GOLDENS['clip-tiny'].pictures.map(imageFile);
export const TEXTS = GOLDENS['clip-tiny'].texts.map(({ text }) => text);

export let hub;
export let clip;

/** A hub for all tests of a file, and a model that they share. */
export function setUp() {
  before(async () => {
    hub = await startHub({ models: Object.fromEntries(CLIPS.map((name) => [`test/${name}`, tinyFolder(name)])) });
    clip = await load('clip-tiny');
  });
  after(() => hub.close());
}

export const load = (name, options) =>
  ImageTextEmbedder.load(`test/${name}`, { host: hub.url, dtype: 'f32', store: false, ...options });

/** Loads a model that is large enough for a call to be interrupted. */
export const loadSlow = () =>
  ImageTextEmbedder.load('test/slow', {
    files: {
      ...seededClip({
        text: { hidden_size: 128, intermediate_size: 512, num_hidden_layers: 8 },
        vision: { hidden_size: 128, intermediate_size: 512, num_hidden_layers: 8, image_size: 224, patch_size: 16 },
      }),
      'tokenizer.json': filesOf(tinyFolder('clip-tiny'))['tokenizer.json'],
    },
    dtype: 'f32',
  });

export const aMoment = (milliseconds = 20) => new Promise((resolve) => setTimeout(resolve, milliseconds));
