import { drawScene } from './draw';
import type { Miniatures } from './miniature';
import { seeded } from './random';
import { type Facts, layOut, sampleFacts, sceneWords } from './scenes';

/** A picture that is to come into the library. */
export interface Source {
  /** The same for the same picture. */
  id: string;
  name: string;
  read: () => Promise<Blob>;
  /** What the library keeps of it, where it is there already and only to be looked at again. */
  kept?: Miniatures;
}

/** By extension too: not every system knows the type of every file. */
const PICTURE = /\.(png|jpe?g|webp|gif|avif|bmp)$/i;

export const isPicture = ({ type, name }: File) => (type ? type.startsWith('image/') : PICTURE.test(name));

export function fileSource(file: File): Source {
  return { id: `${file.name} ${file.size} ${file.lastModified}`, name: file.name, read: async () => file };
}

/** What the page proposes to search for is among the pictures. */
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

export function drawnSources(seed: number, count: number): Source[] {
  const random = seeded(seed);
  const facts = Array.from({ length: count }, () => sampleFacts(random));
  ALWAYS.forEach((one, i) => (facts[Math.floor(((i + 0.5) * count) / ALWAYS.length)] = one));
  return facts.map((one, i) => {
    const layout = layOut(one, random);
    return { id: `drawn ${seed} ${i}`, name: sceneWords(one), read: () => drawScene(layout) };
  });
}
