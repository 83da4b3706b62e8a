import type { StoredModel } from 'pilotlight';
import { type Choice, defaultHost, isModelOf } from '../engine/choice';

/** The model that the build puts beside the page, as `build/tiny-clip-plugin.ts` names it. */
declare const __TINY_CLIP__: { model: string; revision: string };

export type ModelId = 'tiny' | 'photos';

/** Labels to choose from, and the caption into which each is put. */
export interface LabelSet {
  name: string;
  template: string;
  labels: readonly string[];
}

/** A model for images, with the words and examples that the page shows for it. */
export interface ImageModel {
  id: ModelId;
  label: string;
  /** The subjects that the model knows, in a sentence or two. */
  words: string;
  suggestions: readonly string[];
  labelSets: readonly [LabelSet, ...LabelSet[]];
}

const TINY: ImageModel = {
  id: 'tiny',
  label: 'Tiny',
  words:
    'Comes with this page. It knows a small world only: drawn shapes, colours, numbers and digits, which the page draws for you.',
  suggestions: [
    'three red circles',
    'a blue star above a green square',
    'the digit seven',
    'a purple heart',
    'black background',
  ],
  labelSets: [
    {
      name: 'Shapes',
      template: '{}',
      labels: ['circle', 'square', 'triangle', 'star', 'heart', 'diamond', 'ring', 'cross', 'moon', 'arrow', 'digit'],
    },
    {
      name: 'Colours',
      template: '{}',
      labels: ['red', 'orange', 'yellow', 'green', 'blue', 'purple', 'pink', 'brown', 'turquoise'],
    },
    {
      name: 'Digits',
      template: 'the digit {}',
      labels: ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'],
    },
    {
      name: 'Backgrounds',
      template: '{} background',
      labels: ['white', 'black', 'grey', 'light yellow', 'light blue'],
    },
  ],
};

const PHOTOS: ImageModel = {
  id: 'photos',
  label: 'ViT-B/32',
  words: 'OpenAI’s CLIP, for photos and most other images. It comes from a model host, once.',
  suggestions: ['a dog on a beach', 'people at a table', 'snow on mountains', 'a screenshot', 'something red'],
  labelSets: [
    {
      name: 'What is on it',
      template: 'a photo of {}.',
      labels: [
        'a person',
        'a group of people',
        'an animal',
        'food',
        'a building',
        'a landscape',
        'a vehicle',
        'a plant',
        'a document',
      ],
    },
    {
      name: 'Where it is',
      template: 'a photo taken {}.',
      labels: ['indoors', 'in a city', 'in the mountains', 'on a beach', 'in a forest', 'on a road', 'at night'],
    },
    {
      name: 'What kind it is',
      template: '{}',
      labels: ['a photo', 'a drawing', 'a painting', 'a screenshot', 'a map', 'a page of text', 'a chart'],
    },
  ],
};

export const imageModels: readonly ImageModel[] = [TINY, PHOTOS];

/** The model that a choice means. */
export function modelOf({ model }: Choice): ImageModel {
  return model === __TINY_CLIP__.model ? TINY : PHOTOS;
}

/** The choice that loads a model. The tiny one runs on the CPU, because it has 8-bit weights alone and no GPU would make it faster. */
export function choiceOf(id: ModelId, host = defaultHost()): Choice {
  if (id === 'photos') return { model: 'openai/clip-vit-base-patch32', host, device: 'auto', dtype: 'auto' };
  return { ...__TINY_CLIP__, host: new URL('models', location.href).href, device: 'cpu', dtype: 'q8' };
}

/** The key in the local storage. It keeps the name that earlier versions wrote, so that the choice of their visitors is not lost. */
const KEY = 'pilotlight-pictures';

/** The choice that the last visit loaded and kept in this browser's store; null where there is none. */
export function rememberedImageChoice(): Choice | null {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? 'null') as { id?: unknown; host?: unknown } | null;
    if (kept?.id === 'tiny') return choiceOf('tiny');
    return kept?.id === 'photos' && typeof kept.host === 'string' ? choiceOf('photos', kept.host) : null;
  } catch {
    return null;
  }
}

/** Forgets the remembered choice where it means a model that was deleted, which the next visit must not fetch again unasked. */
export function forgetImageModel(stored: Pick<StoredModel, 'host' | 'model'>): void {
  const kept = rememberedImageChoice();
  if (kept && isModelOf(kept, stored)) rememberImageChoice(null);
}

/** Remembers a choice for the next visit, which loads it unasked; null forgets it. */
export function rememberImageChoice(choice: Choice | null): void {
  try {
    if (choice) localStorage.setItem(KEY, JSON.stringify({ id: modelOf(choice).id, host: choice.host }));
    else localStorage.removeItem(KEY);
  } catch {
    // Storage is blocked, so the next visit asks again.
  }
}
