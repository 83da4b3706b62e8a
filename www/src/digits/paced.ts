/** Makes a queue that shows its frames one after the other, each for `hold` milliseconds, however fast they came. */
export function paced<T>(show: (frame: T) => void, hold: number) {
  const waiting: T[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;

  function next() {
    timer = undefined;
    if (waiting.length === 0) return;
    show(waiting.shift() as T);
    timer = setTimeout(next, hold);
  }

  return {
    add(frame: T) {
      waiting.push(frame);
      if (timer === undefined) next();
    },
    stop() {
      clearTimeout(timer);
      waiting.length = 0;
    },
  };
}
