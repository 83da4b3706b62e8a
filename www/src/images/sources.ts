import { drawScene } from './draw';
import type { Miniatures } from './miniature';
import { seeded } from './random';
import { type Facts, layOut, sampleFacts, sceneWords } from './scenes';

/** An image on its way into the library. */
export interface Source {
  /** An id that is the same for the same image. */
  id: string;
  name: string;
  read: () => Promise<Blob>;
  /** The reduced copies that the library keeps, where the image is there already and only has to be embedded again. */
  kept?: Miniatures;
}

/** Names of image files. The extension counts where the system does not know a file's type. */
const IMAGE = /\.(png|jpe?g|webp|gif|avif|bmp)$/i;

export const isImage = ({ type, name }: File) => (type ? type.startsWith('image/') : IMAGE.test(name));

/** A file as a source. */
export function fileSource(file: File): Source {
  return { id: `${file.name} ${file.size} ${file.lastModified}`, name: file.name, read: async () => file };
}

/** Scenes that are always among the drawn ones, so that each search that the page suggests finds something. */
const ALWAYS: readonly Facts[] = [
  { kind: 'many', background: 'white', thing: { outline: 'circle', colour: 'red', large: true }, count: 3 },
  {
    kind: 'pair',
    background: 'light yellow',
    first: { outline: 'star', colour: 'blue', large: true },
    second: { outline: 'square', colour: 'green', large: true },
    relation: 'above',
  },
  {
    kind: 'one',
    background: 'light blue',
    thing: { outline: 'seven', colour: 'orange', large: true },
    place: 'centre',
  },
  { kind: 'one', background: 'grey', thing: { outline: 'heart', colour: 'purple', large: true }, place: 'left' },
];

/** Images of random scenes, which the page draws; the same seed gives the same ones. */
export function drawnSources(seed: number, count: number): Source[] {
  const random = seeded(seed);
  const facts = Array.from({ length: count }, () => sampleFacts(random));
  for (const [i, one] of ALWAYS.entries()) facts[Math.floor(((i + 0.5) * count) / ALWAYS.length)] = one;
  return facts.map((one, i) => {
    const layout = layOut(one, random);
    return { id: `drawn ${seed} ${i}`, name: sceneWords(one), read: () => drawScene(layout) };
  });
}
