import { share } from './detect-words';
import { type Alarms, alarmsOf, caughtOf, figures } from './figures';

/** The table of false alarms by kind of writers, from the figures that training measured. */
export function AlarmsPanel() {
  const caught = caughtOf(figures);
  return (
    <section className="card detect-panel" aria-labelledby="detect-alarms-title">
      <div>
        <h2 id="detect-alarms-title">False alarms by kind of writer</h2>
        <p className="detect-words">
          Texts by people that score above the package’s threshold for a machine, which is set so that 1 in 100 should.
        </p>
      </div>
      <table className="detect-alarms" aria-labelledby="detect-alarms-title">
        <thead>
          <tr>
            <th scope="col">Writers</th>
            <th scope="col">Texts</th>
            <th scope="col">False alarms, 95 % interval</th>
          </tr>
        </thead>
        <tbody>
          {alarmsOf(figures).map((one) => (
            <Row key={one.kind} {...one} />
          ))}
        </tbody>
      </table>
      <p className="detect-fine">
        {caught
          ? `Of ${caught.texts} college essays by GPT-3.5 it found ${caught.above}. `
          : 'How many texts by machines it finds is not measured yet. '}
        {figures.version && `Head ${figures.version}.`}
      </p>
    </section>
  );
}

function Row({ kind, note, measured }: Alarms) {
  return (
    <tr>
      <th scope="row">
        {kind} <span>{note}</span>
      </th>
      {measured ? (
        <>
          <td>{measured.texts}</td>
          <td>
            {share(measured.share)}{' '}
            <span>
              {share(measured.interval[0])} to {share(measured.interval[1])}
            </span>
          </td>
        </>
      ) : (
        <td colSpan={2}>not measured yet</td>
      )}
    </tr>
  );
}
