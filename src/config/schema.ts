import { AUDIT, LOGGING } from './schema-audit.ts';
import { AUTH } from './schema-auth.ts';
import { RATE_LIMIT, REDIS, SESSION, TRACING } from './schema-limits.ts';
import { GUARDS, POLICY } from './schema-policy.ts';
import { SERVER } from './schema-server.ts';
import { type Field, type Fields, type GroupField, group, type ScalarField, text } from './schema-types.ts';
import { UPSTREAM } from './schema-upstream.ts';

/** Every key of the configuration. */
export const SCHEMA: GroupField = group('Configuration of mcp-guard.', {
  $schema: text(null, 'For editors: where the JSON schema of this file is. Not used otherwise.'),
  server: SERVER,
  auth: AUTH,
  rate_limit: RATE_LIMIT,
  policy: POLICY,
  upstream: UPSTREAM,
  audit: AUDIT,
  logging: LOGGING,
  session: SESSION,
  redis: REDIS,
  guards: GUARDS,
  tracing: TRACING,
});

/** Names of the file twins: a secret `x` may be given as `x_file`, a path. Null when the key is no secret. */
export function twinOf(name: string, field: Field): string | null {
  return 'sensitivity' in field && field.sensitivity === 'secret' ? `${name}_file` : null;
}

/** All names that may be written in a table, twins included. */
export function namesIn(fields: Fields): readonly string[] {
  return Object.entries(fields).flatMap(([name, field]) => {
    const twin = twinOf(name, field);
    return twin === null ? [name] : [name, twin];
  });
}

export function isScalar(field: Field): field is ScalarField {
  return field.kind === 'flag' || field.kind === 'number' || field.kind === 'integer' || field.kind === 'text' || field.kind === 'choice';
}

/** A key that the environment can set. */
export interface SettableKey {
  readonly path: readonly string[];
  readonly variable: string;
  /** The path of a secret file instead of the value. */
  readonly isFile: boolean;
}

export function variableOf(path: readonly string[]): string {
  return `MCP_GUARD_${path.join('_').toUpperCase()}`;
}

/** Every scalar outside lists, and the file twins of the secrets among them. */
export function settableKeys(fields: Fields = SCHEMA.fields, path: readonly string[] = []): readonly SettableKey[] {
  return Object.entries(fields).flatMap(([name, field]): readonly SettableKey[] => {
    const here = [...path, name];
    if (name === '$schema') return [];
    if (field.kind === 'group' || (field.kind === 'group_list' && field.isSingleAllowed)) return settableKeys(field.fields, here);
    if (!isScalar(field)) return [];
    const twin = twinOf(name, field);
    const own: SettableKey = { path: here, variable: variableOf(here), isFile: false };
    return twin === null ? [own] : [own, { path: [...path, twin], variable: variableOf([...path, twin]), isFile: true }];
  });
}
