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

/** The credentials that the gateway itself holds for its upstreams and its store, so that no sink ever shows them, whoever printed them. */
export function configuredSecrets({ upstreams, redis, session, server }: ConfigSnapshot): string[] {
  const ofUpstreams = upstreams.flatMap(({ stdio, http }) => [...secretsIn(stdio?.env ?? {}), ...secretsIn(http?.headers ?? {})]);
  const password = redis?.password ?? null;
  return [
    ...ofUpstreams,
    ...(password === null ? [] : [password]),
    ...(session.sealKeys ?? []),
    ...(server.peers === null ? [] : [server.peers.secret]),
  ];
}
