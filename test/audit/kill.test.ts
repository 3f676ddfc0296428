import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { gzipFile } from '../../src/audit/gzip-file.ts';
import { openTrail } from '../../src/audit/trail.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { AuditSettings } from '../../src/core/config.ts';
import { recordingLog, temporaryFolder } from './support.ts';

/** Writes numbered records as fast as it can, rotating and compressing, until it is killed; tells how far it is on disk. */
const PROGRAM = `
const [root, file, run] = process.argv.slice(1);
const load = (path) => import(root + '/src/' + path);
const { openTrail } = await load('audit/trail.ts');
const { WorkerSink } = await load('audit/worker-sink.ts');
const { gzipFile } = await load('audit/gzip-file.ts');
const { systemClock } = await load('core/clock.ts');
const log = { error() {}, warn() {}, info() {}, debug() {}, trace() {}, child: () => log, isDebug: false, isTrace: false };
const settings = { isEnabled: true, isStdout: false, file, redactionRules: [], rotation: { maxBytes: 60000, maxAgeMs: 0, keep: 1000, isCompressed: true } };
const trail = await openTrail(settings, { clock: systemClock, log, compress: gzipFile });
const sink = new WorkerSink({ worker: Number(run), clock: systemClock, redact: (text) => text, send: trail.write });
setInterval(() => { for (let i = 0; i < 50; i++) sink.write({ event_type: 'tool_call', tool: 'x'.repeat(i * 7) }); }, 1);
setInterval(() => process.stdout.write(trail.stats().outputs[0].writtenLines + '\\n'), 5);
`;

const ROOT = join(import.meta.dirname, '../..');

/** Runs the program until it has written a good deal, then kills it; returns how many lines it knew to be written. */
async function runAndKill(file: string, run: number): Promise<number> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, ROOT, file, String(run)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let told = '';
  child.stdout.on('data', (part) => (told += String(part)));
  while (Number(told.trimEnd().split('\n').at(-1)) < 2000 + run * 137) await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'close');
  return Number(told.slice(0, told.lastIndexOf('\n')).split('\n').at(-1));
}

/** Lines of the whole trail; a file that stands beside its own compression counts once. */
function trailLines(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => !name.endsWith('.partial'));
  const once = names.filter((name) => name.endsWith('.gz') || !names.includes(`${name}.gz`));
  const texts = once.map((name) => {
    const bytes = readFileSync(join(folder, name));
    return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
  });
  return texts.flatMap((text) => text.split('\n').slice(0, -1));
}

describe('a trail whose process is killed', () => {
  it('row 205: has every line that was written, whole, over four kills in the middle of writing, rotating and compressing', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'audit.jsonl');
    const known: number[] = [];
    for (let run = 0; run < 4; run++) known.push(await runAndKill(file, run));

    const settings: AuditSettings = {
      isEnabled: true,
      isStdout: false,
      file,
      redactionRules: [],
      rotation: { maxBytes: 0, maxAgeMs: 0, keep: 1000, isCompressed: true },
    };
    const trail = await openTrail(settings, { clock: systemClock, log: recordingLog(), compress: gzipFile });
    await trail.close();

    const records = trailLines(folder).map((line) => JSON.parse(line) as { worker: number; seq: number });
    for (const [run, atLeast] of known.entries()) {
      const numbers = records.flatMap(({ worker, seq }) => (worker === run ? [seq] : [])).toSorted((one, other) => one - other);
      expect(numbers).toEqual(Array.from(numbers, (_, index) => index + 1));
      expect(numbers.length).toBeGreaterThanOrEqual(atLeast);
    }
    expect(readdirSync(folder).filter((name) => name.endsWith('.partial'))).toEqual([]);
  });
});
