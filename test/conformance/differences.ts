import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Checks, Revision } from './suite.ts';
import type { UpstreamTransport } from './fixture.ts';

/** Checks whose verdict differs for one reason. */
interface Explanation {
  readonly reason: string;
  readonly revision: Revision;
  readonly transports: readonly UpstreamTransport[];
  /** Lines like `tools-list:tools-list#1 SUCCESS -> FAILURE`. */
  readonly checks: readonly string[];
}

const EXPLAINED = JSON.parse(readFileSync(join(import.meta.dirname, 'expected-differences.json'), 'utf8')) as readonly Explanation[];

/** What differs between the server itself and the gateway in front of it, one line for each check, sorted. */
export function differences(direct: Checks, through: Checks): string[] {
  const keys = [...new Set([...direct.keys(), ...through.keys()])].sort();
  return keys.flatMap((key) => {
    const [before, after] = [direct.get(key) ?? 'absent', through.get(key) ?? 'absent'];
    return before === after ? [] : [`${key} ${before} -> ${after}`];
  });
}

/** The differences that are known and explained; one that no longer exists has to leave the file. */
export function expectedDifferences(transport: UpstreamTransport, revision: Revision): string[] {
  const those = EXPLAINED.filter((one) => one.revision === revision && one.transports.includes(transport));
  return those.flatMap(({ checks }) => checks).sort();
}
