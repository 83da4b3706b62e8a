/** The SVG filter that the styles use to sharpen enlarged digits: it steepens the blurred edge of a stroke. */
export function InkFilter() {
  return (
    <svg className="unseen" aria-hidden="true">
      <filter id="digit-ink" colorInterpolationFilters="sRGB">
        <feComponentTransfer>
          <feFuncA type="table" tableValues="0 0 0.16 0.5 0.8 0.94 1 1 1" />
        </feComponentTransfer>
      </filter>
    </svg>
  );
}
