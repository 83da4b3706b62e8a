/**
 * The texts of training and test, without what gives their origin away: in the machine-text sets humans write no newlines, stop in the
 * middle of a sentence, and lend the machine the first words. Both texts of a pair lose the words that they share at the start, and
 * are cut to the same number of words, three fewer than the shorter one has.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';

export const DOMAINS = ['xsum', 'writing', 'pubmed'];
export const GENERATORS = ['davinci', 'gpt-3.5-turbo', 'gpt-4', 'claude-3-opus'];

/** Texts by kinds of writers, which never train, calibrate or choose anything. */
export const BIAS_SETS = ['toefl_human', 'hewlett_human', 'college_gpt35'];

const PLAIN = [
  ['\u2018', "'"],
  ['\u2019', "'"],
  ['\u201c', '"'],
  ['\u201d', '"'],
  ['\u2013', '-'],
  ['\u2014', '-'],
  ['\u2026', '...'],
  ['``', '"'],
  ["''", '"'],
  ['\u00a0', ' '],
];

/** White space, without the byte order mark. */
const SPACES = /[^\S\ufeff]+/g;

export function plain(text) {
  for (const [from, to] of PLAIN) text = text.replaceAll(from, to);
  return text.replace(SPACES, ' ').replace(/^ | $/g, '');
}

const cut = (words, count) => words.slice(0, count).join(' ');
const bare = (word) => word.toLowerCase().replace(/^[.,]+|[.,]+$/g, '');

/** Reads a file, and refuses other bytes than those of the digest. */
function read(folder, name, digests) {
  const bytes = readFileSync(path.join(folder, name));
  const digest = createHash('sha256').update(bytes).digest('hex');
  if (digests[name] !== digest)
    throw new Error(`${name}: sha256 is ${digest}, expected ${digests[name] ?? 'none: the file is not listed'}`);
  return JSON.parse(bytes.toString('utf8'));
}

/** Two texts on one subject, by a human and by a machine. `i` is the number of the human text. */
function pair(domain, generator, i, human, machine) {
  const texts = [plain(human), plain(machine)];
  const words = texts.map((text) => text.split(' '));
  let shared = 0;
  while (shared < Math.min(...words.map(({ length }) => length)) && bare(words[0][shared]) === bare(words[1][shared]))
    shared += 1;
  const rest = words.map((list) => list.slice(shared));
  const count = Math.max(0, Math.min(...rest.map(({ length }) => length)) - 3);
  return rest.map((list, isMachine) => ({
    set: 'aitext',
    domain,
    generator,
    i,
    isMachine: isMachine === 1,
    words: count,
    text: cut(list, count),
    // The sets of a domain share human texts, so that folds go by the text and not by its number.
    human: texts[0],
  }));
}

/**
 * All texts of a folder that has `aitext/` and `bias/`; `digests` are the sha256 of its files.
 * @throws where a file has other bytes
 */
export function rows(folder, digests) {
  const list = [];
  for (const domain of DOMAINS)
    for (const generator of GENERATORS) {
      const { original, sampled } = read(folder, `aitext/${domain}_${generator}.raw_data.json`, digests);
      for (const [i, human] of original.entries()) list.push(...pair(domain, generator, i, human, sampled[i]));
    }
  for (const name of [...BIAS_SETS].sort())
    for (const [i, raw] of read(folder, `bias/${name}.json`, digests).entries()) {
      const text = plain(raw);
      list.push({
        set: 'bias',
        domain: name,
        generator: 'bias',
        i,
        isMachine: !name.endsWith('human'),
        words: text.split(' ').length,
        text,
        human: text,
      });
    }
  return list;
}
