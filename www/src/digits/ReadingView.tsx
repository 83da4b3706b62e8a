import type { Reading } from 'pilotlight/judge';
import { percent } from '../page/format';
import { ALL_DIGITS } from './digit-words';

/** The probabilities that the judge gives to the ten digits, as bars. */
export function ReadingView({ reading }: { reading: Reading | null }) {
  return (
    <ul className="reading" aria-label="How probable the judge finds each digit">
      {ALL_DIGITS.map((digit) => {
        const share = reading?.probabilities[digit] ?? 0;
        return (
          <li key={digit} data-best={reading?.digit === digit}>
            <span>{digit}</span>
            <span className="reading-bar" aria-hidden="true">
              <span style={{ transform: `translateX(${(share - 1) * 100}%)` }} />
            </span>
            <span>{reading ? percent(share) : '–'}</span>
          </li>
        );
      })}
    </ul>
  );
}
