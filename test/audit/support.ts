import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import type { RotationSettings } from '../../src/core/config.ts';
import type { Log, LogFields } from '../../src/core/log.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A folder that is removed after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-guard-audit-'));
  folders.push(folder);
  return folder;
}

/** Lines of a file, without the newline that each of them must have. */
export function readLines(path: string): string[] {
  const text = readFileSync(path, 'utf8');
  if (text !== '' && !text.endsWith('\n')) throw new Error(`${path} ends in a torn line`);
  return text === '' ? [] : text.slice(0, -1).split('\n');
}

export function readRecords(path: string): Record<string, unknown>[] {
  return readLines(path).map((line) => JSON.parse(line) as Record<string, unknown>);
}

export interface LoggedLine {
  readonly level: string;
  readonly fields: LogFields;
  readonly message: string;
}

/** A log that remembers. */
export function recordingLog(): Log & { readonly lines: LoggedLine[] } {
  const lines: LoggedLine[] = [];
  const at =
    (level: string) =>
    (fields: LogFields, message: string): void =>
      void lines.push({ level, fields, message });
  const log: Log & { readonly lines: LoggedLine[] } = {
    lines,
    isDebug: true,
    isTrace: true,
    trace: at('trace'),
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => log,
  };
  return log;
}

/** A clock that stands until it is moved; timers due are called by `advance`. */
export function fakeClock(
  startWallMs: number = Date.UTC(2026, 10, 20, 10, 15),
): Clock & { advance(ms: number): void; readonly pending: number } {
  let elapsedMs = 1000;
  const timers = new Set<{ atMs: number; periodMs: number; callback: () => void }>();
  const add = (delayMs: number, periodMs: number, callback: () => void): { cancel(): void } => {
    const timer = { atMs: elapsedMs + delayMs, periodMs, callback };
    timers.add(timer);
    return { cancel: () => void timers.delete(timer) };
  };
  return {
    nowMs: () => elapsedMs,
    wallMs: () => startWallMs + elapsedMs - 1000,
    after: (delayMs, callback) => add(delayMs, 0, callback),
    every: (periodMs, callback) => add(periodMs, periodMs, callback),
    get pending() {
      return timers.size;
    },
    advance(ms: number): void {
      elapsedMs += ms;
      for (const timer of Array.from(timers)) {
        if (timer.atMs > elapsedMs) continue;
        if (timer.periodMs === 0) timers.delete(timer);
        else timer.atMs = elapsedMs + timer.periodMs;
        timer.callback();
      }
    },
  };
}

export const NO_ROTATION: RotationSettings = { maxBytes: 0, maxAgeMs: 0, keep: 10, isCompressed: false };

/** Waits until `isTrue`, at most five seconds. */
export async function until(isTrue: () => boolean): Promise<void> {
  for (let turn = 0; !isTrue(); turn++) {
    if (turn > 500) throw new Error('waited too long');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
