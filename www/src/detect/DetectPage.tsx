import { useEffect, useState, useSyncExternalStore } from 'react';
import type { PageProps } from '../page/page-props';
import { AlarmsPanel } from './AlarmsPanel';
import { CalibratePanel } from './CalibratePanel';
import { DetectorCard } from './DetectorCard';
import { detectorChoice, loader, rememberedDetector } from './detector';
import { HistoryPanel } from './HistoryPanel';
import { keepHead } from './kept-head';
import { LimitsPanel } from './LimitsPanel';
import { MarkedText } from './MarkedText';
import { TextPanel } from './TextPanel';
import { useCalibration } from './useCalibration';
import { useHistory } from './useHistory';
import { useJudge } from './useJudge';
import { VerdictPanel } from './VerdictPanel';

/** The page that looks for signs of a machine in a text, and explains the reliability of such signs. */
export function DetectPage({ shown }: PageProps) {
  const state = useSyncExternalStore(loader.subscribe, loader.state);
  const detector = state.status === 'ready' ? state.embedder.detector : null;
  const [text, setText] = useState('');
  const calibration = useCalibration(detector, loader.fail);
  const judge = useJudge(detector, calibration.calibration, loader.fail);
  const history = useHistory(shown);

  // A model that an earlier visit loaded is in the store, so it is loaded without asking.
  useEffect(() => {
    const remembered = rememberedDetector();
    if (shown && remembered && loader.state().status === 'idle') void loader.load(remembered);
  }, [shown]);

  async function onJudge() {
    const judged = await judge.judge(text);
    if (judged) await history.add(judged.text, judged.detection);
  }

  function resetThreshold() {
    keepHead(null);
    void loader.load(state.status === 'ready' ? state.choice : detectorChoice());
  }

  return (
    <>
      <div className="opening">
        <div className="intro">
          <h1 tabIndex={-1}>Signs of a machine’s text, weighed in this tab</h1>
          <p>
            A small language model reads a text and says how well it foresees the words. What that says of who wrote it
            is little, and this page shows how little. No text is sent anywhere.
          </p>
        </div>
        <DetectorCard state={state} />
      </div>
      <div className="detect">
        <TextPanel
          text={text}
          onText={setText}
          judge={judge}
          ready={detector !== null}
          onJudge={() => void onJudge()}
        />
        <VerdictPanel judged={judge.judged} reading={judge.work !== null} />
        <MarkedText judged={judge.judged} />
        <LimitsPanel />
        <AlarmsPanel />
        <CalibratePanel ready={detector !== null} state={calibration} onReset={resetThreshold} />
        <HistoryPanel history={history} />
      </div>
    </>
  );
}
