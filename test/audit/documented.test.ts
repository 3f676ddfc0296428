import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildRecordLine } from '../../src/audit/record.ts';
import { AUDIT_EVENTS, type AuditRecord } from '../../src/core/audit.ts';

const TEXT = readFileSync(join(import.meta.dirname, '../../docs/audit.md'), 'utf8');

function section(title: string): string {
  const from = TEXT.indexOf(`\n## ${title}\n`);
  return TEXT.slice(from, TEXT.indexOf('\n## ', from + 4));
}

/** Names in the first column of a section's table. */
function documented(title: string): string[] {
  const rows = section(title)
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  return rows.flatMap((row) => Array.from((row.split('|')[1] ?? '').matchAll(/`([a-z_]+)`/g), (match) => match[1] as string));
}

describe('docs/audit.md', () => {
  it('row 198: describes every event type, and no other', () => {
    expect(documented('Event types').toSorted()).toEqual([...AUDIT_EVENTS].toSorted());
  });

  it('row 199: lists the fields in the order in which they are written', () => {
    const all: Required<Omit<AuditRecord, 'notes' | 'isIdMinted'>> = {
      event_type: 'request', request_id: 'a', identity: 'a', provider: 'a', client_ip: 'a', session: 'a', server: 'a', method: 'a', tool: 'a', resource: 'a',
      decision: 'deny', reason: 'a', limit: 'tool', decided_ms: 1, detail: 'a', status: 1, duration_ms: 1, error_id: 'a', policy_version: 'a',
    }; // biome-ignore format: one record
    const line = buildRecordLine((text) => text)(all, { wallMs: 0, seq: 1, worker: 0 });
    expect(documented('Fields')).toEqual(Object.keys(JSON.parse(line) as object));
  });
});
