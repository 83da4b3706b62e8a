/** A share with its 95 % interval. */
interface Share {
  value: number;
  interval: [number, number];
}

/** The figures that training/detector measured; a part that was not measured is absent. */
export interface Figures {
  version?: string;
  heldOutDomains?: Record<string, { human: number; falseAlarms1: Share }>;
  heldOutGenerators?: Record<string, unknown>;
  bias?: Record<string, { texts: number; above1: number; interval1: [number, number]; machine: number }>;
}

// The build goes on where training has not written them yet.
const [found] = Object.values(
  import.meta.glob<Figures>('../../../weights/detector/figures.json', { eager: true, import: 'default' }),
);
const [head] = Object.values(
  import.meta.glob<{ version: string }>('../../../weights/detector/head.json', { eager: true, import: 'default' }),
);

export const figures: Figures = found ?? {};

/** The version of the head that the package had when this page was built. */
export const headVersion = head?.version;

/** A kind of writers, and how many of their texts a machine was suspected of. */
export interface Alarms {
  kind: string;
  /** The origin of the texts, and whether texts of their kind were in the training set. */
  note: string;
  /** The result; absent if it was not measured. */
  measured?: { texts: number; share: number; interval: [number, number]; machine?: number };
}

const WRITERS: readonly [key: string, kind: string, note: string][] = [
  ['toefl_human', 'People who learn English', 'TOEFL essays'],
  ['hewlett_human', 'Pupils', 'essays of US 8th graders'],
];

const DOMAINS: readonly [key: string, kind: string, note: string][] = [
  ['xsum', 'Journalists', 'BBC news, by a head that had seen no news'],
  ['writing', 'Amateur writers', 'stories from Reddit, by a head that had seen no stories'],
  ['pubmed', 'Medical researchers', 'answers from PubMed, by a head that had seen none'],
];

/** The false alarms of each kind of writers, at the threshold that 1 % of human texts should pass. */
export function alarmsOf({ bias, heldOutDomains }: Figures): Alarms[] {
  const writers = WRITERS.map(([key, kind, note]): Alarms => {
    const one = bias?.[key];
    if (!one) return { kind, note };
    const { texts, above1, interval1, machine } = one;
    return { kind, note, measured: { texts, share: above1 / texts, interval: interval1, machine } };
  });
  const domains = DOMAINS.map(([key, kind, note]): Alarms => {
    const one = heldOutDomains?.[key];
    if (!one) return { kind, note };
    const { value, interval } = one.falseAlarms1;
    return { kind, note, measured: { texts: one.human, share: value, interval } };
  });
  return [...writers, ...domains];
}

/** Returns the number of essays by a machine and of those above the threshold; null if that was not measured. */
export function caughtOf({ bias }: Figures): { texts: number; above: number } | null {
  const one = bias?.college_gpt35;
  return one ? { texts: one.texts, above: one.above1 } : null;
}

/** The generators whose texts were in the tests. */
export const generatorsOf = ({ heldOutGenerators }: Figures): string[] => Object.keys(heldOutGenerators ?? {});
