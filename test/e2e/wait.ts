import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/** Asks every 20 ms until the answer is truthy, and returns it. `describe` is put into the error when time runs out. */
export async function waitUntil<T>(
  check: () => T | Promise<T>,
  options: { readonly what: string; readonly timeoutMs?: number; readonly describe?: () => string },
): Promise<NonNullable<T>> {
  const timeoutMs = options.timeoutMs ?? 5000;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== null && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`${options.what}: not within ${timeoutMs} ms\n${options.describe?.() ?? ''}`);
    await sleep(20);
  }
}

/** Rejects when `work` takes longer; the message carries `describe`. */
export async function within<T>(work: Promise<T>, timeoutMs: number, describe: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${timeoutMs} ms: ${describe()}`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
