import { useId } from 'react';

interface Props {
  /** The height of the flame: 0 is unlit, 1 is lit, and a loading model is between them. */
  level: number;
  failed?: boolean;
}

const OUTER =
  'M16.5 1C17 8.5 27 14 27 25a11 12 0 0 1-22 0c0-6 3.5-9.5 5.5-15 1.5 2 2.3 3.8 2.6 5.5C15.8 11.5 16.7 6.5 16.5 1z';
const INNER = 'M16.2 21c2.8 3.6 4.8 6 4.8 9.6a5 5.4 0 0 1-10 0c0-3.4 3.4-5.4 5.2-9.6z';

/** The pilot light of the logo, which is lit when the model is loaded. */
export function Flame({ level, failed = false }: Props) {
  const clip = useId();
  const top = 38 - 38 * level;
  return (
    <svg className="flame" data-lit={level >= 1} data-failed={failed} viewBox="0 0 32 40" aria-hidden="true">
      <clipPath id={clip}>
        <rect x="0" y={top} width="32" height={40 - top} />
      </clipPath>
      <path className="flame-outline" d={OUTER} />
      <g clipPath={`url(#${clip})`}>
        <path className="flame-outer" d={OUTER} />
        <path className="flame-inner" d={INNER} />
      </g>
    </svg>
  );
}
