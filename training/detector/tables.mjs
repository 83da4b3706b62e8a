/** Figures as Markdown. */

const NAMES = {
  toefl_human: 'TOEFL essays by people who learn English',
  hewlett_human: 'essays of US 8th graders',
  college_gpt35: 'college essays by GPT-3.5',
};

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const score = ({ value, interval: [low, high] }) => `${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
const shares = ({ value, interval: [low, high] }) => `${percent(value)} [${percent(low)}, ${percent(high)}]`;

const table = (head, lines) =>
  [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** Held-out domains or generators. */
export function heldOut(name, figures) {
  return table(
    [
      `${name} held out`,
      'human / machine texts',
      'AUROC',
      'false alarms, 1 % / 5 % setting',
      'caught, 1 % / 5 % setting',
    ],
    Object.entries(figures).map(([key, one]) => [
      key,
      `${one.human} / ${one.machine}`,
      score(one.auroc),
      `${shares(one.falseAlarms1)} / ${shares(one.falseAlarms5)}`,
      `${shares(one.caught1)} / ${shares(one.caught5)}`,
    ]),
  );
}

/** Returns the table of held-out domains for the texts that are long enough to be judged. */
export function judged(figures) {
  const of = (count, total) => (total > 0 ? `${count} of ${total}` : 'none');
  return table(
    ['domain held out', 'human texts above', '95 % interval', 'machine texts above'],
    Object.entries(figures).map(([key, { judged: one }]) => [
      key,
      of(one.above1, one.human),
      one.interval1 ? one.interval1.map(percent).join(' to ') : '',
      of(one.caught1, one.machine),
    ]),
  );
}

/** Kinds of writers that trained, calibrated and chose nothing. */
export function writers(bias) {
  return table(
    [
      'texts',
      'above the 1 % threshold',
      '95 % interval',
      'above the 5 % threshold',
      'verdict `machine`',
      'outside the gate',
    ],
    Object.entries(bias).map(([key, one]) => [
      `${NAMES[key]} (${one.texts})`,
      String(one.above1),
      one.interval1.map(percent).join(' to '),
      String(one.above5),
      String(one.machine),
      String(one.outsideGate),
    ]),
  );
}
