import { existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ConfigSnapshot } from '../core/config.ts';
import { checkAuth } from './check-auth.ts';
import { checkDigests } from './check-digests.ts';
import { checkIsolation } from './check-isolation.ts';
import { checkLimits } from './check-limits.ts';
import { checkPeers } from './check-peers.ts';
import { checkRedis } from './check-redis.ts';
import { checkServer } from './check-server.ts';
import { checkUpstreams } from './check-upstream.ts';
import { checkVirtuals } from './check-virtual.ts';
import type { Problems } from './problems.ts';
import { refuseRepeated } from './refuse-repeated.ts';
import type { Section } from './section.ts';

/** Faults that show only when several keys, or files, are looked at together. */
export function checkTogether(root: Section, snapshot: ConfigSnapshot, nowMs: number, problems: Problems): void {
  checkServer(root.section('server'), snapshot, nowMs, problems);
  checkPeers(root, snapshot, problems);
  checkAuth(root.section('auth'), snapshot, nowMs, problems);
  checkDigests(root, problems);
  checkLimits(root.section('rate_limit'), snapshot, problems);
  checkRedis(root.section('redis'), snapshot, problems);
  checkUpstreams(root.section('upstream'), problems);
  checkIsolation(root.section('upstream'), problems);
  checkVirtuals(root.section('upstream'), snapshot, problems);
  checkAudit(root.section('audit'), snapshot, problems);
}

function checkAudit(section: Section, snapshot: ConfigSnapshot, problems: Problems): void {
  const { isEnabled, isStdout, file } = snapshot.audit;
  refuseRepeated(section.sections('redaction_rules'), 'name', problems);
  if (!isEnabled) return;
  if (file === null && !isStdout) problems.warn(section.at('file'), 'is empty and audit.stdout is false: audit records go nowhere');
  if (file === null) return;
  if (!isDirectory(dirname(file))) problems.error(section.at('file'), 'stands in a directory that does not exist');
  else if (isDirectory(file)) problems.error(section.at('file'), 'names a directory');
}

function isDirectory(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}
