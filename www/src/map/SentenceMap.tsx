import { type KeyboardEvent, useMemo, useRef, useState } from 'react';
import type { Entry } from '../search/rank';
import type { QueryVector } from '../search/useSearch';
import type { SentenceVectors } from '../sentences/useSentences';
import { fitBox, placeLabels, shortLabel } from './layout';
import { MapPoint } from './MapPoint';
import { fitPlane } from './pca';
import { useSize } from './useSize';

interface Props {
  texts: readonly string[];
  vectors: SentenceVectors['vectors'];
  /** The same sentences in the order of the list, with their scores. */
  entries: readonly Entry[];
  query: QueryVector | null;
  active: number | null;
  onActive: (id: number | null) => void;
  onPick: (text: string) => void;
}

const NEAREST = 3;

/** The sentences as points in two dimensions: sentences of similar meaning tend to lie near each other. */
export function SentenceMap({ texts, vectors, entries, query, active, onActive, onPick }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const size = useSize(frame);
  const [stop, setStop] = useState(0);

  const known = useMemo(() => entries.filter((entry) => entry.embedded).sort((a, b) => a.id - b.id), [entries]);
  // The plane depends on the sentences alone, so that a query moves no point.
  const plane = useMemo(() => {
    const embedded = texts.map((text) => vectors.get(text)?.vector);
    return fitPlane(embedded.filter((vector) => vector !== undefined));
  }, [texts, vectors]);

  const drawn = useMemo(() => {
    if (!plane || size.width < 80 || size.height < 80) return null;
    const flat = known.map((entry) => ({ entry, at: plane.project(entry.embedded?.vector ?? new Float32Array()) }));
    const place = fitBox(
      flat.map(({ at }) => at),
      size,
    );
    const inside = ({ x, y }: { x: number; y: number }) => ({
      x: clamp(x, 18, size.width - 18),
      y: clamp(y, 18, size.height - 18),
    });
    const points = flat.map(({ entry, at }) => ({ entry, spot: place(at) }));
    const mark = query ? inside(place(plane.project(query.vector))) : null;
    const byScore = [...points].sort((a, b) => (b.entry.score ?? 0) - (a.entry.score ?? 0));
    const labels = placeLabels(
      byScore.map(({ entry, spot }) => ({
        id: entry.id,
        text: shortLabel(entry.text, size.width > 480 ? 26 : 18),
        spot,
      })),
      [...points.map(({ spot }) => spot), ...(mark ? [mark] : [])],
      size,
    );
    return { points, mark, labels, near: query ? byScore.slice(0, NEAREST) : [] };
  }, [plane, known, query, size]);

  function onKeyDown(event: KeyboardEvent) {
    const steps: Record<string, number> = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const step = steps[event.key];
    if (event.key === 'Escape') onActive(null);
    if (step === undefined || known.length === 0) return;
    event.preventDefault();
    const next = (stop + step + known.length) % known.length;
    setStop(next);
    frame.current?.querySelector<SVGGElement>(`[data-stop="${next}"]`)?.focus();
  }

  const nearIds = new Set(drawn?.near.map(({ entry }) => entry.id));
  const shown = drawn?.points.find(({ entry }) => entry.id === active);

  return (
    <figure className="map">
      <div className="map-frame" ref={frame}>
        {drawn ? (
          <svg width={size.width} height={size.height} role="presentation">
            {drawn.mark &&
              drawn.near.map(({ entry, spot }) => (
                <line
                  key={entry.id}
                  className="map-near"
                  x1={drawn.mark?.x}
                  y1={drawn.mark?.y}
                  x2={spot.x}
                  y2={spot.y}
                />
              ))}
            {/* biome-ignore lint/a11y/noAriaHiddenOnFocusable: nothing in this group can have the focus */}
            <g aria-hidden="true">
              {drawn.labels.map(({ id, text, x, y, anchor }) => (
                <text
                  key={id}
                  className="map-label"
                  data-near={nearIds.has(id)}
                  data-quiet={query !== null && !nearIds.has(id)}
                  data-active={id === active}
                  x={x}
                  y={y}
                  textAnchor={anchor}
                >
                  {text}
                </text>
              ))}
            </g>
            <g
              role="listbox"
              aria-label={`Map of ${drawn.points.length} sentences. Arrow keys go from one to the next, Enter searches with it.`}
              onKeyDown={onKeyDown}
            >
              {drawn.points.map(({ entry, spot }, i) => (
                <MapPoint
                  key={entry.id}
                  entry={entry}
                  spot={spot}
                  stop={i}
                  tabbable={i === Math.min(stop, drawn.points.length - 1)}
                  near={nearIds.has(entry.id)}
                  active={entry.id === active}
                  onActive={(on) => {
                    if (on) setStop(i);
                    onActive(on ? entry.id : null);
                  }}
                  onPick={() => onPick(entry.text)}
                />
              ))}
            </g>
            {drawn.mark && (
              // biome-ignore lint/a11y/noAriaHiddenOnFocusable: this mark cannot have the focus
              <g className="map-query" transform={`translate(${drawn.mark.x} ${drawn.mark.y})`} aria-hidden="true">
                <path d="M0 -9 9 0 0 9 -9 0z" />
              </g>
            )}
          </svg>
        ) : (
          <p className="map-empty">
            {known.length === 1 ? 'A map needs two sentences.' : 'The map is drawn here once the model is loaded.'}
          </p>
        )}
        {shown && (
          <p
            className="map-callout"
            style={{ left: clamp(shown.spot.x, 130, Math.max(130, size.width - 130)), top: shown.spot.y }}
            data-below={shown.spot.y < 90}
          >
            {shown.entry.text}
          </p>
        )}
      </div>
      <figcaption>
        {plane
          ? `The plane in which these sentences differ most. It shows ${Math.round(plane.share * 100)}% of their spread, so trust the scores over the distances.`
          : 'Sentences that mean similar things will lie near each other.'}
      </figcaption>
    </figure>
  );
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
