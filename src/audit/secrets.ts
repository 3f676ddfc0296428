import type { ConfigSnapshot } from '../core/config.ts';
import { isSecretName } from '../core/secret-names.ts';

/** A value of `Bearer xyz` gives `xyz` too: the scheme may be gone where the secret turns up. */
function partsOf(value: string): string[] {
  const space = value.indexOf(' ');
  return space < 0 ? [value] : [value, value.slice(space + 1).trim()];
}

function secretsIn(values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => (isSecretName(name) ? partsOf(value) : []));
}

/** The credentials that the gateway itself holds for its upstreams, so that no sink ever shows them, whoever printed them. */
export function configuredSecrets(snapshot: ConfigSnapshot): string[] {
  return snapshot.upstreams.flatMap((upstream) => [...secretsIn(upstream.stdio?.env ?? {}), ...secretsIn(upstream.http?.headers ?? {})]);
}
