import { checkRedaction } from '../audit/check.ts';
import type { ConfigProblem, ConfigSnapshot } from '../core/config.ts';
import { checkPatterns } from '../policy/check.ts';
import { checkUpstreams } from '../upstream/check.ts';

/** What only the rooms can judge of a configuration that the schema has accepted; asked before anything starts. */
export function verifySnapshot(snapshot: ConfigSnapshot): ConfigProblem[] {
  return [...checkPatterns(snapshot), ...checkUpstreams(snapshot), ...checkRedaction(snapshot)];
}
