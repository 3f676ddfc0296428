import { X509Certificate } from 'node:crypto';
import type { ConfigSnapshot, RedisSettings } from '../core/config.ts';
import type { LimitSpec } from '../core/principal.ts';
import type { Problems } from './problems.ts';
import { readTextFile } from './read-text.ts';
import type { Section } from './section.ts';
import { isLoopback } from './syntax.ts';

const MAX_PEM_BYTES = 1_048_576;

/** The store: reachable by what is given, not in the clear by accident, and enough for what an outage leaves of the limits. */
export function checkRedis(section: Section, snapshot: ConfigSnapshot, problems: Problems): void {
  const { redis } = snapshot;
  if (redis === null) {
    if (section.hasAny() && !section.isSet('url'))
      problems.error(section.at('url'), 'is missing: the other keys of redis mean nothing without it');
    return;
  }
  checkTls(section, redis, problems);
  if (redis.password === null && redis.username !== null) problems.error(section.at('url'), 'names a user without a password');
  if (snapshot.rateLimit.isEnabled) warnOfSmallShares(section, snapshot, redis, problems);
  else if (snapshot.session.sealKeys === null)
    problems.warn(section.at('url'), 'has no effect with rate_limit.enabled = false and without session.seal_keys');
}

function checkTls(section: Section, redis: RedisSettings, problems: Problems): void {
  if (redis.tls === null) {
    for (const name of ['ca_path', 'tls_verify']) {
      if (section.isSet(name)) problems.error(section.at(name), 'means nothing without TLS: write rediss:// or tls = true');
    }
    if (!redis.nodes.every(({ host }) => isLoopback(host))) {
      problems.warn(section.at('url'), 'leaves this machine without TLS: whoever listens sees the password and can spend every budget');
    }
    return;
  }
  if (!redis.tls.isVerified) problems.warn(section.at('tls_verify'), 'is false: anybody on the way can pretend to be the store');
  if (redis.tls.caPath !== null) checkAuthority(section.at('ca_path'), redis.tls.caPath, problems);
}

function checkAuthority(path: string, file: string, problems: Problems): void {
  const read = readTextFile(file, MAX_PEM_BYTES);
  if ('fault' in read) return problems.error(path, `names a file that ${read.fault}`);
  try {
    if (new X509Certificate(read.text).ca) return;
    problems.error(path, 'names a certificate that is not one of an authority');
  } catch {
    problems.error(path, 'names a file that does not hold a PEM certificate');
  }
}

/** A share of less than one token never holds one: `local` then refuses as `closed` does. */
function warnOfSmallShares(section: Section, snapshot: ConfigSnapshot, redis: RedisSettings, problems: Problems): void {
  const { rateLimit, auth } = snapshot;
  const specs: readonly (LimitSpec | null)[] = [
    rateLimit.default,
    rateLimit.address,
    rateLimit.perToolDefault,
    ...rateLimit.tools.map(({ limit }) => limit),
    ...rateLimit.methods.map(({ limit }) => limit),
    ...auth.apiKeys.map(({ limit }) => limit),
  ];
  const small = specs.filter((spec) => spec !== null && spec.failMode === 'local' && spec.burst < redis.maxHosts);
  if (small.length === 0) return;
  problems.warn(
    section.at('max_hosts'),
    `is more than the burst of ${small.length === 1 ? 'a limit' : `${small.length} limits`} with fail_mode "local": while the store is lost, nothing is admitted there`,
  );
}
