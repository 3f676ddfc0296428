export interface Stop {
  readonly first: Promise<void>;
  readonly second: Promise<void>;
  release(): void;
}

/** A terminal and `npm run` deliver the same Ctrl-C twice; only a later signal is a second one. */
const SAME_SIGNAL_MS = 300;

/** The first SIGTERM or SIGINT drains, the second forces. */
export function listenForSignals(): Stop {
  const { promise: first, resolve: onFirst } = Promise.withResolvers<void>();
  const { promise: second, resolve: onSecond } = Promise.withResolvers<void>();
  let firstMs = 0;
  const onSignal = (): void => {
    const nowMs = performance.now();
    if (firstMs === 0) {
      firstMs = nowMs;
      onFirst();
    } else if (nowMs - firstMs > SAME_SIGNAL_MS) onSecond();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return {
    first,
    second,
    release: () => {
      process.off('SIGTERM', onSignal);
      process.off('SIGINT', onSignal);
    },
  };
}
