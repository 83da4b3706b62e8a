import type { Random } from './random';

// These are the scenes that the tiny model was trained on. `training/clip/scenes.py` is the original, with the same words and proportions.

/** Layouts are in pixels of an image that is this wide and high. */
export const SIDE = 64;

export const BACKGROUNDS = {
  white: [255, 255, 255],
  black: [0, 0, 0],
  grey: [150, 150, 150],
  'light yellow': [255, 246, 185],
  'light blue': [195, 225, 252],
} as const;
export const COLOURS = {
  red: [220, 28, 34],
  orange: [248, 140, 18],
  yellow: [245, 215, 25],
  green: [38, 158, 58],
  blue: [38, 78, 215],
  purple: [130, 48, 172],
  pink: [246, 130, 188],
  brown: [122, 72, 34],
  turquoise: [38, 202, 194],
} as const;
export const SHAPES = [
  'circle',
  'square',
  'triangle',
  'star',
  'heart',
  'diamond',
  'ring',
  'cross',
  'moon',
  'arrow',
] as const;
export const DIGITS = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'] as const;
/** The column and the row of each place, and its words in a caption. */
const PLACES = {
  centre: [0, 0, 'in the centre'],
  left: [-1, 0, 'on the left'],
  right: [1, 0, 'on the right'],
  top: [0, -1, 'at the top'],
  bottom: [0, 1, 'at the bottom'],
  'top left': [-1, -1, 'in the top left corner'],
  'top right': [1, -1, 'in the top right corner'],
  'bottom left': [-1, 1, 'in the bottom left corner'],
  'bottom right': [1, 1, 'in the bottom right corner'],
} as const;

type Background = keyof typeof BACKGROUNDS;
type Colour = keyof typeof COLOURS;
type Place = keyof typeof PLACES;
export type Outline = (typeof SHAPES)[number] | (typeof DIGITS)[number];

export interface Thing {
  outline: Outline;
  colour: Colour;
  large: boolean;
}

/** The facts of a scene that a caption can describe. The first thing of a pair is the upper or the left one. */
export type Facts = { background: Background } & (
  | { kind: 'one'; thing: Thing; place: Place }
  | { kind: 'many'; thing: Thing; count: number }
  | { kind: 'pair'; first: Thing; second: Thing; relation: 'above' | 'left of' }
);

type Rgb = readonly [number, number, number];

/** The exact colours, places and sizes of a scene, in pixels of an image of `SIDE` by `SIDE`. */
export interface Layout {
  ground: Rgb;
  things: { outline: Outline; rgb: Rgb; radius: number; x: number; y: number; turn: number }[];
}

const keys = <T extends object>(table: T) => Object.keys(table) as (keyof T)[];

/** Draws the facts of a scene at random, with the frequencies of the training. */
export function sampleFacts(random: Random): Facts {
  const chance = random.below(100);
  const background = random.pick(keys(BACKGROUNDS));
  const thing = (): Thing => ({
    outline: random.pick(SHAPES),
    colour: random.pick(keys(COLOURS)),
    large: random.below(2) === 1,
  });
  const first = thing();
  if (chance < 48) {
    const outline = chance < 28 ? first.outline : random.pick(DIGITS);
    return { kind: 'one', background, thing: { ...first, outline }, place: random.pick(keys(PLACES)) };
  }
  if (chance < 72) return { kind: 'many', background, thing: first, count: 2 + random.below(4) };
  let second = thing();
  while (second.outline === first.outline && second.colour === first.colour) second = thing();
  return { kind: 'pair', background, first, second, relation: random.pick(['above', 'left of']) };
}

/** Chooses exact colours, places and sizes at random that agree with the facts. */
export function layOut(facts: Facts, random: Random): Layout {
  const ink = (rgb: Rgb, spread: number): Rgb =>
    rgb.map((value) =>
      Math.min(255, Math.max(0, Math.round(value + random.uniform(-spread, spread)))),
    ) as unknown as Rgb;
  const put = ({ outline, colour }: Thing, radius: number, x: number, y: number) => ({
    outline,
    rgb: ink(COLOURS[colour], 12),
    radius,
    x,
    y,
    turn: random.uniform(-0.14, 0.14),
  });
  const ground = ink(BACKGROUNDS[facts.background], 6);

  if (facts.kind === 'pair') {
    const along = random.uniform(-2.5, 2.5);
    const across = random.uniform(-8, 8);
    const things = [facts.first, facts.second].map((thing, i) => {
      const radius = thing.large ? random.uniform(11, 13) : random.uniform(6.2, 7.6);
      // `along` moves both things together, so that they never touch.
      const aside = SIDE / 2 + across + random.uniform(-2.5, 2.5);
      const end = SIDE / 2 + along + (i === 0 ? -16 : 16);
      return facts.relation === 'above' ? put(thing, radius, aside, end) : put(thing, radius, end, aside);
    });
    return { ground, things };
  }
  if (facts.kind === 'one') {
    const radius = facts.thing.large ? random.uniform(12.5, 16) : random.uniform(6.5, 8);
    const [column, row] = PLACES[facts.place];
    const at = (way: number) =>
      SIDE / 2 + (way === 0 ? random.uniform(-2.2, 2.2) : ((way * (61 - 2 * radius)) / 2) * random.uniform(0.86, 1));
    return { ground, things: [put(facts.thing, radius, at(column), at(row))] };
  }
  const most = facts.count > 3 ? 10.2 : 11;
  const radius = facts.thing.large
    ? random.uniform(most - (facts.count > 3 ? 1 : 1.4), most)
    : random.uniform(5.6, 6.8);
  return {
    ground,
    things: scatter(facts.count, radius, random).map(([x, y]) =>
      put(facts.thing, radius * random.uniform(0.95, 1.05), x, y),
    ),
  };
}

/** Finds places for discs of this radius at which none touches another. */
function scatter(count: number, radius: number, random: Random): [number, number][] {
  const margin = radius + 1.5;
  for (;;) {
    const spots: [number, number][] = [];
    for (let tries = 0; tries < 12 * count && spots.length < count; tries += 1) {
      const x = random.uniform(margin, SIDE - margin);
      const y = random.uniform(margin, SIDE - margin);
      if (spots.every((spot) => Math.hypot(spot[0] - x, spot[1] - y) > 2.05 * radius + 1)) spots.push([x, y]);
    }
    if (spots.length === count) return spots;
  }
}

/** The full caption of a scene. */
export function sceneWords(facts: Facts): string {
  const ground = `on a ${facts.background} background`;
  if (facts.kind === 'one') return `${oneThing(facts.thing)} ${PLACES[facts.place][2]} ${ground}`;
  if (facts.kind === 'pair') return `${oneThing(facts.first)} ${facts.relation} ${oneThing(facts.second)} ${ground}`;
  const { outline, colour, large } = facts.thing;
  return `${DIGITS[facts.count]} ${size(large)} ${colour} ${outline === 'cross' ? 'crosses' : `${outline}s`} ${ground}`;
}

const size = (large: boolean) => (large ? 'large' : 'small');
const oneThing = ({ outline, colour, large }: Thing) => `a ${size(large)} ${colour} ${outline}`;
