import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compileRedaction } from '../../src/audit/redact.ts';
import { openTrail } from '../../src/audit/trail.ts';
import { WorkerSink } from '../../src/audit/worker-sink.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { AuditSettings } from '../../src/core/config.ts';
import { NO_ROTATION, readRecords, recordingLog, temporaryFolder } from './support.ts';

function settings(file: string | null): AuditSettings {
  return { isEnabled: true, isStdout: false, file, redactionRules: [], rotation: NO_ROTATION };
}

const deps = () => ({ clock: systemClock, log: recordingLog(), compress: null });

describe('openTrail', () => {
  it('row 200: carries the records of several workers into one file, each worker in order and without a gap', async () => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    const trail = await openTrail(settings(path), deps());
    const redact = compileRedaction([]);
    const send = trail.write;
    const sinks = [0, 1, 2].map((worker) => new WorkerSink({ worker, clock: systemClock, redact, send }));
    for (let i = 0; i < 3000; i++) {
      sinks[i % 3]?.write({ event_type: 'tool_call', tool: `t${i}` });
      if (i % 500 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (const sink of sinks) sink.flush();
    await trail.close();
    const records = readRecords(path);
    expect(records).toHaveLength(3000);
    for (const worker of [0, 1, 2]) {
      expect(records.filter((record) => record['worker'] === worker).map((record) => record['seq'])).toEqual(
        Array.from({ length: 1000 }, (_, i) => i + 1),
      );
    }
    expect(trail.stats()).toMatchObject({ records: 3000, workerDrops: 0, outputs: [{ output: 'file', writtenLines: 3000 }] });
  });

  it('row 209: has the last line in the file when close resolves, and closing twice is harmless', async () => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    const trail = await openTrail(settings(path), deps());
    trail.write('{"last":true}\n', 1, 7);
    await Promise.all([trail.close(), trail.close()]);
    expect(readRecords(path)).toEqual([{ last: true }]);
    expect(trail.stats().workerDrops).toBe(7);
  });

  it('row 204: lets no credential into the file, wherever a client put it', async () => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    const canary = `mcp_${'CANARY'.repeat(7)}x`;
    const trail = await openTrail(settings(path), deps());
    const sink = new WorkerSink({
      worker: 0,
      clock: systemClock,
      redact: compileRedaction([], ['upstream-CANARY-secret']),
      send: trail.write,
    });
    const text = `x ${canary} Bearer CANARYCANARY eyJCANARYCANARY.CANARYCANARY.CANARY upstream-CANARY-secret`;
    sink.write({
      event_type: 'tool_call', request_id: canary, identity: text, client_ip: text, server: text, method: text, tool: text, resource: `https://a:CANARY1@b/?token=CANARY2`,
      reason: text, detail: text, error_id: canary, policy_version: text,
    }); // biome-ignore format: one record
    sink.flush();
    await trail.close();
    expect(JSON.stringify(readRecords(path))).not.toContain('CANARY');
  });

  it('opens nothing when audit is off', async () => {
    const path = join(temporaryFolder(), 'audit.jsonl');
    const trail = await openTrail({ ...settings(path), isEnabled: false }, deps());
    trail.write('{}\n', 1, 0);
    await trail.close();
    expect(() => statSync(path)).toThrow(/ENOENT/);
  });

  it('fails to start when the file cannot be opened', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'file'), '');
    await expect(openTrail(settings(join(folder, 'file', 'audit.jsonl')), deps())).rejects.toThrow(/ENOTDIR/);
  });
});
