import type { BackendReport } from 'pilotlight';
import { count, milliseconds } from '../page/format';
import { runsOn } from './digit-words';
import type { DrawingReport } from './useDrawing';

interface Props {
  report: DrawingReport | null;
  backend: BackendReport;
}

/** The time that the last number took to compute, and the device. */
export function NumberFigures({ report, backend }: Props) {
  const [device, with_] = runsOn(backend);
  return (
    <>
      <dl className="figures" aria-label="Time and place">
        <div>
          <dt>Per digit</dt>
          <dd>{report ? milliseconds(report.ms / report.digits) : '–'}</dd>
          <dd className="figures-note">
            {report ? `${milliseconds(report.ms / report.digits / report.steps)} a step` : 'none yet'}
          </dd>
        </div>
        <div>
          <dt>The number</dt>
          <dd>{report ? milliseconds(report.ms) : '–'}</dd>
          <dd className="figures-note">
            {report ? `${count(report.digits, 'digit')}, ${count(report.steps, 'step')}` : 'none yet'}
          </dd>
        </div>
        <div>
          <dt>Runs on</dt>
          <dd>{device}</dd>
          <dd className="figures-note">{with_}</dd>
        </div>
      </dl>
      <p className="figures-words">{backend.reason} The time is that of computing; the steps are shown slower.</p>
    </>
  );
}
