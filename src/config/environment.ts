import type { Environment } from './interpolate.ts';
import type { Problems } from './problems.ts';
import { type SettableKey, settableKeys } from './schema.ts';
import { nearest } from './suggest.ts';
import { find, type MapNode, type ScalarNode, setScalar } from './tree.ts';

const PREFIX = 'MCP_GUARD_';
/** Names the configuration file; read by the command line. */
const OWN_NAMES: ReadonlySet<string> = new Set(['MCP_GUARD_CONFIG']);
const SERVICE_LINK_NAME = /_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/;

const BY_VARIABLE: ReadonlyMap<string, SettableKey> = new Map(settableKeys().map((key) => [key.variable, key]));

/** A value from a command line flag. */
export interface Override {
  /** `server.port` */
  readonly path: string;
  readonly value: unknown;
  /** How to name it in messages; default: the last part of the path as a flag, `--port`. */
  readonly flag?: string;
}

/** Puts the values of `MCP_GUARD_<PATH>` variables over those of the file. */
export function applyEnvironment(root: MapNode, env: Environment, problems: Problems): void {
  for (const [variable, value] of Object.entries(env)) {
    const key = BY_VARIABLE.get(variable);
    if (key !== undefined && value !== undefined) apply(root, key.path, { kind: 'scalar', value, at: null, origin: variable }, problems);
  }
}

/** Puts flag values over everything else. */
export function applyOverrides(root: MapNode, overrides: readonly Override[], problems: Problems): void {
  for (const { path, value, flag } of overrides) {
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') continue;
    const keys = path.split('.');
    apply(root, keys, { kind: 'scalar', value, at: null, origin: flag ?? `--${keys.at(-1)?.replaceAll('_', '-')}` }, problems);
  }
}

function apply(root: MapNode, path: readonly string[], scalar: ScalarNode, problems: Problems): void {
  if (!setScalar(root, path, scalar)) problems.error(path.join('.'), `cannot be set by ${scalar.origin}: the file has a list there`);
  else dropTwin(root, path, scalar.origin);
}

/** A secret from a stronger source also replaces its twin from a weaker one. */
function dropTwin(root: MapNode, path: readonly string[], origin: string | null): void {
  const name = path.at(-1) ?? '';
  const parent = find(root, path.slice(0, -1));
  const twin = name.endsWith('_file') ? name.slice(0, -'_file'.length) : `${name}_file`;
  const other = parent?.kind === 'map' ? parent.entries.get(twin)?.node : undefined;
  const isOfSameSource =
    other?.kind === 'scalar' &&
    (other.origin?.startsWith(PREFIX) ?? false) === (origin?.startsWith(PREFIX) ?? false) &&
    other.origin !== null;
  if (parent?.kind === 'map' && other !== undefined && !isOfSameSource) parent.entries.delete(twin);
}

/** Warns about `MCP_GUARD_*` variables that set nothing; those that the file refers to are its own. */
export function warnUnknown(env: Environment, used: ReadonlySet<string>, problems: Problems): void {
  for (const name of Object.keys(env).toSorted()) {
    if (!name.startsWith(PREFIX) || BY_VARIABLE.has(name) || OWN_NAMES.has(name) || used.has(name)) continue;
    problems.warn('', `the environment variable ${printable(name)} sets nothing${reason(name)}`);
  }
}

function reason(name: string): string {
  if (SERVICE_LINK_NAME.test(name))
    return ': Kubernetes injected it for a Service (service links); set enableServiceLinks: false in the Pod';
  const best = nearest(
    name.slice(PREFIX.length),
    [...BY_VARIABLE.keys()].map((known) => known.slice(PREFIX.length).toLowerCase()),
  );
  const isNear = best !== null && best.edits <= Math.max(2, name.length / 6);
  return isNear ? `; did you mean ${PREFIX}${best.name.toUpperCase()}?` : '; lists and tables are set in the file only';
}

function printable(name: string): string {
  return /^[A-Za-z0-9_]{1,120}$/.test(name) ? name : JSON.stringify(name.slice(0, 120));
}
