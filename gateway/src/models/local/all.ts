/** All loaders. A script that a bundler makes of them has all of the package. */
import type { Loaders } from './loader.ts';
import { textLoaders } from './text.ts';

export const allLoaders: Loaders = {
  ...textLoaders,
  'embed-image': async (request) => (await import('./images.ts')).loadImages(request),
  textTower: async (request) => (await import('./images.ts')).loadTextTower(request),
  detect: async (request) => (await import('./detect.ts')).loadDetector(request),
  decoder: async (request) => (await import('./detect.ts')).loadDecoder(request),
  detectorHead: async (decoder, json, compute) =>
    (await import('./detect.ts')).loadDetectorHead(decoder, json, compute),
  digits: async (request) => (await import('./digits.ts')).loadDigits(request),
};
