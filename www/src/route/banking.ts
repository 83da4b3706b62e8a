import { type Example, parseExamples } from './delimited';

/** The number of examples of each label in the small set. */
export const FEW = 10;

/** Returns the address of the training set of banking77 on the page's server; undefined if the server does not have it. */
export function bankingAddress(): string | undefined {
  return document.querySelector<HTMLMetaElement>('meta[name="pilotlight-banking77"]')?.content || undefined;
}

/** Fetches all examples of banking77. Its labels are words with underscores between them, which become spaces. */
export async function fetchBanking(address: string): Promise<Example[]> {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`the server answered with status ${response.status}`);
  const examples = parseExamples(await response.text());
  return examples.map(({ text, label }) => ({ text, label: label.replaceAll('_', ' ') }));
}

/** The first `n` examples of each label. */
export function firstOfEach(examples: readonly Example[], n: number): Example[] {
  const counts = new Map<string, number>();
  return examples.filter(({ label }) => {
    const seen = (counts.get(label) ?? 0) + 1;
    counts.set(label, seen);
    return seen <= n;
  });
}

/** Requests that are not in the training set; the last ones are not about a bank. */
export const bankingTrials = [
  'my wallet was taken on the tram',
  'what does it cost to turn euros into yen',
  'the cash machine kept my card',
  'someone else pays with my card',
  'I cannot remember my PIN',
  'how old must a child be for an account',
  'what is the square root of two?',
  'how do bees make honey?',
];
