import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { BYTES_PER_LEASE } from '../../src/limit/lease-memory.ts';
import type { SyncThreadData } from '../../src/process/sync-thread.ts';

const ROOT = join(import.meta.dirname, '../..');
const ENTRY = join(ROOT, 'workers/sync.ts');

/** Files and packages that are loaded with a file; types are not. */
function loadedWith(file: string, seen: Set<string> = new Set([relative(ROOT, file)])): Set<string> {
  for (const [, clause = '', specifier = ''] of readFileSync(file, 'utf8').matchAll(/^import (type )?.*? from '(.+?)';$/gms)) {
    if (clause !== '') continue;
    if (!specifier.startsWith('.')) {
      seen.add(specifier);
      continue;
    }
    const path = join(dirname(file), specifier);
    if (seen.has(relative(ROOT, path))) continue;
    seen.add(relative(ROOT, path));
    loadedWith(path, seen);
  }
  return seen;
}

describe('the sync thread', () => {
  it('loads next to nothing, because every worker has one', () => {
    expect([...loadedWith(ENTRY)].toSorted()).toEqual([
      'node:net',
      'node:worker_threads',
      'src/limit/lease-memory.ts',
      'src/process/frames.ts',
      'src/process/lease-answers.ts',
      'src/process/lease-wire.ts',
      'src/process/sync-thread.ts',
      'workers/sync.ts',
    ]);
  });

  it('ends when it is told to, also without ever having had a connection', async () => {
    const data: SyncThreadData = {
      access: { path: '/nowhere', token: new Uint8Array(32) },
      buffer: new SharedArrayBuffer(BYTES_PER_LEASE),
      taken: new SharedArrayBuffer(4),
    };
    const thread = new Worker(ENTRY, { workerData: data });
    await new Promise((resolve) => thread.once('online', resolve));
    thread.postMessage(null);
    expect(await new Promise((resolve) => thread.once('exit', resolve))).toBe(0);
  });

  it('counts what it takes from its queue, so that the event loop sees when it stands still', async () => {
    const taken = new Int32Array(new SharedArrayBuffer(4));
    const data: SyncThreadData = {
      access: { path: '/nowhere', token: new Uint8Array(32) },
      buffer: new SharedArrayBuffer(BYTES_PER_LEASE),
      taken: taken.buffer,
    };
    const thread = new Worker(ENTRY, { workerData: data });
    for (const bytes of [10, 20, 30]) thread.postMessage(new Uint8Array(bytes));
    thread.postMessage(null);
    await new Promise((resolve) => thread.once('exit', resolve));
    expect(taken[0]).toBe(60);
  });
});
