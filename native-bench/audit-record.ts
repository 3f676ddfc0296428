import { Bench } from 'tinybench';
import type { AuditRecord } from '../src/core/audit.ts';
import { compileRedaction } from '../src/audit/redact.ts';
import { buildRecordLine } from '../src/audit/record.ts';
import { printTable } from './print-table.ts';

/** Bounds: what one audit record costs the event loop, and what the hand-written serialisation saves. */
const BATCH = 1_000;
const redact = compileRedaction([]);
const line = buildRecordLine(redact);
const ids = Array.from({ length: BATCH }, () => crypto.randomUUID());

function record(index: number): AuditRecord {
  return {
    event_type: 'tool_response',
    request_id: ids[index] as string,
    identity: 'alice',
    provider: 'api_key',
    client_ip: `10.1.2.${index % 200}`,
    server: 'fs',
    method: 'tools/call',
    tool: `read_file_${index % 20}`,
    decision: 'allow',
    detail: 'allowed_tools "read_*"',
    status: 200,
    duration_ms: 1.2345 + (index % 7),
    policy_version: '0123456789abcdef',
  };
}

const seen = new Map<string, string>();
function redactOnce(text: string): string {
  let result = seen.get(text);
  if (result === undefined) {
    result = redact(text);
    if (seen.size < 2_000) seen.set(text, result);
  }
  return result;
}

function throughStringify(index: number): string {
  const fields: Record<string, unknown> = { timestamp: new Date(index).toISOString(), seq: index, worker: 1 };
  for (const [name, value] of Object.entries(record(index))) fields[name] = typeof value === 'string' ? redactOnce(value) : value;
  return `${JSON.stringify(fields)}\n`;
}

function batch(one: (index: number) => string): () => void {
  return () => {
    for (let i = 0; i < BATCH; i++) one(i);
  };
}

const bench = new Bench({ time: 1_000, warmupTime: 200 });
bench
  .add(
    'written by hand',
    batch((index) => line(record(index), { wallMs: index, seq: index, worker: 1 })),
  )
  .add('JSON.stringify of a redacted copy', batch(throughStringify));
await bench.run();
printTable('audit record', bench, BATCH);
