import type { ConfigSnapshot } from '../core/config.ts';
import { isSingleForm, transportOf } from './build-upstream.ts';
import { MASK } from './interpolate.ts';
import type { Field } from './schema-types.ts';
import { HTTP_KEYS, STDIO_KEYS } from './schema-upstream.ts';
import { type Entry, Section } from './section.ts';

/** The configuration that holds, in the shape of the file: defaults filled in, every secret as `***`. Plain data. */
export interface EffectiveConfig {
  readonly [key: string]: EffectiveValue;
}

export type EffectiveValue = string | number | boolean | readonly EffectiveValue[] | EffectiveConfig;

/** Builds it. Left out are keys that are not available, have no value, or do nothing beside the others. */
export function effectiveConfig(root: Section, snapshot: ConfigSnapshot): EffectiveConfig {
  const { redis, ...rest } = sectionOf(root);
  return {
    ...rest,
    ...(snapshot.redis === null || redis === undefined ? {} : { redis }),
    server: serverTable(root.section('server'), snapshot),
    auth: authTable(root.section('auth'), snapshot),
    upstream: upstreamTable(root.section('upstream')),
  };
}

function serverTable(section: Section, snapshot: ConfigSnapshot): EffectiveConfig {
  const { tls, admin, idle_timeout_secs: idle, ...rest } = sectionOf(section);
  const tokens = {
    tokens: section
      .section('admin')
      .list('tokens')
      .map(() => MASK),
  };
  return {
    ...rest,
    ...(snapshot.server.engine === 'node' && idle !== undefined ? { idle_timeout_secs: idle } : {}),
    engine: snapshot.server.engine,
    ...(snapshot.server.tls === null || tls === undefined ? {} : { tls }),
    ...(snapshot.server.admin.listen === null || admin === undefined ? { admin: tokens } : { admin }),
  };
}

function authTable(section: Section, snapshot: ConfigSnapshot): EffectiveConfig {
  const { resource_metadata: metadata, ...rest } = sectionOf(section);
  return snapshot.auth.resourceMetadata === null || metadata === undefined ? rest : { ...rest, resource_metadata: metadata };
}

function upstreamTable(section: Section): EffectiveConfig {
  return isSingleForm(section) ? serverOf(section) : { servers: section.sections('servers').map(serverOf) };
}

/** Of a server only the keys that its transport has. */
function serverOf(section: Section): EffectiveConfig {
  const skipped = transportOf(section) === 'stdio' ? HTTP_KEYS : STDIO_KEYS;
  const shown = Object.entries(sectionOf(section)).filter(([name]) => !skipped.includes(name) && name !== 'servers');
  return { ...Object.fromEntries(shown), transport: transportOf(section) };
}

function sectionOf(section: Section): EffectiveConfig {
  const members: [string, EffectiveValue][] = [];
  for (const name of Object.keys(section.fields)) {
    const value = valueOf(section.entry(name));
    if (value !== null) members.push([name, value]);
  }
  return Object.fromEntries(members);
}

function valueOf(entry: Entry): EffectiveValue | null {
  const { field, value } = entry;
  if (!field.isAvailable) return null;
  if (value === null) return 'word' in field && field.word !== undefined ? field.word : null;
  if (value instanceof Section) return nonEmpty(sectionOf(value));
  if (Array.isArray(value) && field.kind === 'group_list') return value.filter((item) => item instanceof Section).map(sectionOf);
  return maskedOf(field, entry.masked ?? value);
}

/** A second lock: whatever was recorded while reading, a secret is printed as nothing but the mask. */
function maskedOf(field: Field, value: Entry['value']): EffectiveValue | null {
  const isSecret = 'sensitivity' in field && field.sensitivity === 'secret';
  if (value instanceof Map) return nonEmpty(Object.fromEntries([...value].map(([name, text]) => [name, isSecret ? MASK : String(text)])));
  if (Array.isArray(value)) return value.filter((item) => typeof item === 'string').map((item) => (isSecret ? MASK : item));
  if (typeof value === 'string') return isSecret ? MASK : value;
  return typeof value === 'number' || typeof value === 'boolean' ? value : null;
}

function nonEmpty(config: EffectiveConfig): EffectiveConfig | null {
  return Object.keys(config).length === 0 ? null : config;
}
