import type { Dtype, StoredModel } from 'pilotlight';
import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { loader as detectorLoader } from '../detect/detector';
import { isModelOf } from '../engine/choice';
import { engine } from '../engine/engine';
import type { LoaderState } from '../engine/loader';
import type { Problem } from '../engine/problem';
import { clip } from '../images/clip';
import { count, megabytes } from '../page/format';
import type { PageProps } from '../page/page-props';
import { href } from '../page/routes';
import { ProblemView } from '../setup/ProblemView';
import { shareLoaded } from '../setup/progress-words';
import { ModelRow, type Use } from './ModelRow';
import { nameParts } from './model-words';
import { StoragePanel } from './StoragePanel';
import { deleteModel } from './stored';
import { useStored } from './useStored';

/** The page that lists the models that this browser keeps, with their sizes, and deletes them. */
export function ModelsPage({ state, shown }: PageProps) {
  const clipState = useSyncExternalStore(clip.subscribe, clip.state);
  const detectorState = useSyncExternalStore(detectorLoader.subscribe, detectorLoader.state);
  const uses = [
    { state, loader: engine },
    { state: clipState, loader: clip },
    { state: detectorState, loader: detectorLoader },
  ];
  const { stored, error, reread } = useStored(
    shown,
    uses.some((one) => one.state.status === 'loading'),
  );
  const [said, setSaid] = useState('');
  const [problem, setProblem] = useState<Problem | null>(null);
  const title = useRef<HTMLHeadingElement>(null);
  const list = useRef<HTMLUListElement>(null);
  /** The key of the row that gets the focus once the deleted one is gone; '' stands for the heading. */
  const successor = useRef<string | null>(null);

  useEffect(() => {
    if (!shown) setSaid('');
  }, [shown]);

  useEffect(() => {
    if (!stored || successor.current === null) return;
    const rows = [...(list.current?.querySelectorAll<HTMLElement>('[data-key]') ?? [])];
    (rows.find((row) => row.dataset.key === successor.current) ?? title.current)?.focus();
    successor.current = null;
  }, [stored]);

  async function remove(model: StoredModel) {
    const [, name] = nameParts(model.model);
    setSaid('');
    setProblem(null);
    try {
      await deleteModel(model);
      const at = stored?.models.findIndex(({ key }) => key === model.key) ?? -1;
      successor.current = stored?.models[at + 1]?.key ?? '';
      setSaid(`${name} was deleted: ${megabytes(model.bytes)} are free again.`);
    } catch (thrown) {
      setProblem(storeProblem(`${name} could not be deleted`, thrown));
    }
    reread();
  }

  function retry() {
    setProblem(null);
    reread();
  }

  const failed = problem ?? (error ? storeProblem('What is stored could not be read', error) : null);

  return (
    <>
      <div className="models-intro">
        <h1 tabIndex={-1}>Models on this device</h1>
        <p>
          What this browser keeps, so that the next visit needs no network. Deleting a model here frees its space and
          changes nothing anywhere else.
        </p>
      </div>
      <div className="models-page">
        <section className="models-list" aria-labelledby="stored-models" aria-busy={!stored && !failed}>
          <div className="models-head">
            <h2 id="stored-models" tabIndex={-1} ref={title}>
              {stored?.models.length ? count(stored.models.length, 'stored model') : 'Stored models'}
            </h2>
            <p role="status">{said}</p>
          </div>
          {failed && <ProblemView problem={failed} onRemedy={retry} />}
          {!stored && !failed && <p className="models-empty">Looking at what is stored…</p>}
          {stored?.models.length === 0 && (
            <div className="models-empty">
              <p>No model is stored in this browser. The first load fetches one and keeps it here.</p>
              <a className="button primary" href={href('/')}>
                Load a model
              </a>
            </div>
          )}
          {stored && stored.models.length > 0 && (
            <ul className="models" ref={list}>
              {stored.models.map((model) => {
                const used = uses.find((one) => roleOf(model, one.state));
                return (
                  <ModelRow
                    key={model.key}
                    model={model}
                    share={model.bytes / Math.max(1, stored.usage.modelBytes)}
                    use={(used && roleOf(model, used.state)) ?? 'idle'}
                    onDelete={() => remove(model)}
                    onCancel={() => used?.loader.cancel()}
                  />
                );
              })}
            </ul>
          )}
        </section>
        {stored && <StoragePanel count={stored.models.length} usage={stored.usage} onPersist={reread} />}
      </div>
    </>
  );
}

/** Returns a loader's use of a stored model; undefined if it does not use it. */
function roleOf(model: StoredModel, state: LoaderState<{ readonly backend: { dtype: Dtype } }>): Use | undefined {
  if (state.status === 'loading' && !model.whole && isModelOf(state.choice, model))
    return { arrived: shareLoaded(state.progress) };
  if (
    state.status === 'ready' &&
    model.whole &&
    isModelOf(state.choice, model) &&
    state.embedder.backend.dtype === model.dtype
  )
    return 'loaded';
  return undefined;
}

function storeProblem(title: string, error: unknown): Problem {
  const detail = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'UNKNOWN';
  return {
    code,
    title,
    detail,
    advice:
      'Another tab may be busy with it, or the browser may block storage for this site. Try again, or reload the page.',
    remedies: ['retry'],
  };
}
