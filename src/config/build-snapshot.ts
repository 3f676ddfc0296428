import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import type { AuditSettings, ConfigSnapshot, RedactionRule } from '../core/config.ts';
import { buildAuth } from './build-auth.ts';
import { buildRateLimit } from './build-limits.ts';
import { buildRedis } from './build-redis.ts';
import { buildServer } from './build-server.ts';
import { buildUpstream, serverSections } from './build-upstream.ts';
import { buildVirtuals } from './build-virtual.ts';
import type { Section } from './section.ts';

const HOUR_MS = 3_600_000;
const MIB = 1_048_576;

/** The whole configuration as plain, frozen data. Also built from a faulty one, with defaults where values were refused. */
export function buildSnapshot(root: Section, source: string, baseDir: string): ConfigSnapshot {
  const rateLimit = buildRateLimit(root.section('rate_limit'));
  const upstream = root.section('upstream');
  const session = root.section('session');
  const sealKeys = session.maybeList('seal_keys') ?? [];
  const tools = root.section('policy').section('tools');
  const upstreams = serverSections(upstream).map((section) => buildUpstream(section, baseDir));
  const content = {
    server: buildServer(root.section('server'), baseDir),
    auth: buildAuth(root.section('auth'), rateLimit),
    rateLimit,
    redis: buildRedis(root.section('redis'), baseDir),
    session: {
      sealKeys: sealKeys.length === 0 ? null : sealKeys,
      idleTtlMs: session.number('idle_ttl_secs') * 1000,
      maxPerPrincipal: session.number('max_per_principal'),
      events: {
        maxMessages: session.number('replay_messages'),
        maxBytes: session.number('replay_bytes'),
        maxTotalBytes: session.number('replay_total_bytes'),
      },
      pollAfterMs: session.number('poll_after_secs') * 1000,
    },
    policy: { tools: { allow: tools.maybeList('allow'), deny: tools.list('deny') } },
    audit: buildAudit(root.section('audit'), baseDir),
    logging: {
      level: root.section('logging').choice('level', ['trace', 'debug', 'info', 'warn', 'error']),
      format: root.section('logging').choice('format', ['auto', 'json', 'pretty']),
    },
    upstreams,
    virtuals: buildVirtuals(upstream, upstreams),
    isSingleUpstream: upstream.sections('servers').length === 0,
  };
  return freezeDeep({ version: versionOf(content), source, ...content });
}

function buildAudit(section: Section, baseDir: string): AuditSettings {
  const file = section.text('file');
  const rotation = section.section('rotation');
  return {
    isEnabled: section.flag('enabled'),
    isStdout: section.flag('stdout'),
    file: file === '' ? null : resolve(baseDir, file),
    redactionRules: section.sections('redaction_rules').map(buildRule),
    rotation: {
      maxBytes: Math.floor(rotation.number('max_size_mb') * MIB),
      maxAgeMs: Math.floor(rotation.number('max_age_hours') * HOUR_MS),
      keep: rotation.number('keep'),
      isCompressed: rotation.flag('compress'),
    },
  };
}

function buildRule(section: Section): RedactionRule {
  return { name: section.maybeText('name') ?? '', pattern: section.maybeText('pattern') ?? '', replacement: section.text('replacement') };
}

/** First 16 hex digits of the SHA-256 over canonical JSON: equal content, equal version, whatever the syntax or order. */
export function versionOf(content: unknown): string {
  return createHash('sha256').update(canonicalJson(content)).digest('hex').slice(0, 16);
}

/** JSON with the members of every object in code unit order (as RFC 8785). */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(',')}}`;
}

function freezeDeep<T>(value: T): T {
  if (typeof value === 'object' && value !== null) for (const member of Object.values(value)) freezeDeep(member);
  return Object.freeze(value);
}
