import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { type Admission, worstExcess } from '../limit/windows.ts';

export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

export interface Decision {
  /** Moment of the decision on the machine's monotonic clock. */
  readonly ms: number;
  readonly isAdmitted: boolean;
  readonly requestId: string;
  readonly worker: number;
  /** The trail that tells it. */
  readonly file: string;
}

/** Requests of one principal, or of it to one tool, as the audit trails of all gateways tell them: the earliest decision first. */
export async function decisionsIn(files: readonly string[], identity: string, tool?: string): Promise<readonly Decision[]> {
  const decisions: Decision[] = [];
  for (const file of files) {
    for await (const line of createInterface({ input: createReadStream(file) })) {
      const decision = decisionOf(JSON.parse(line) as Record<string, unknown>, identity, tool, file);
      if (decision !== null) decisions.push(decision);
    }
  }
  return decisions.sort((one, other) => one.ms - other.ms);
}

/** @throws when a closing record of the principal has no time: a checker that overlooks requests proves nothing */
function decisionOf(record: Readonly<Record<string, unknown>>, identity: string, tool: string | undefined, file: string): Decision | null {
  if (record['identity'] !== identity || record['duration_ms'] === undefined) return null;
  if (tool !== undefined && record['tool'] !== tool) return null;
  const { decided_ms: ms, decision, request_id: requestId, worker } = record;
  if (typeof ms !== 'number' || typeof requestId !== 'string') throw new Error(`no time of decision: ${JSON.stringify(record)}`);
  return { ms, isAdmitted: decision === 'allow', requestId, worker: Number(worker), file };
}

/** By how much the worst of all windows exceeds burst + rate × length; at most zero where the limit held. */
export function excessOf(admittedMs: readonly number[], { perSecond, burst }: Rate): number {
  const admissions = admittedMs.toSorted((one, other) => one - other).map((ms): Admission => ({ ms, tokens: 1 }));
  return worstExcess(admissions, { perSecond, burst, failMode: 'local' });
}
