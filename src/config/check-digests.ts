import { normalizeKeyHash } from './key-hash.ts';
import type { Problems } from './problems.ts';
import type { Section } from './section.ts';

/**
 * One digest, one caller: a credential that stands for two API keys, two admin tokens, or one of each would be two
 * identities at once. The second place is the fault; forms of the same digest count as the same.
 */
export function checkDigests(root: Section, problems: Problems): void {
  const first = new Map<string, string>();
  for (const { at, text } of hashesOf(root)) {
    const digest = normalizeKeyHash(text);
    if (digest === null) continue;
    const earlier = first.get(digest);
    if (earlier !== undefined) problems.error(at, `is the same as ${earlier}`);
    else first.set(digest, at);
  }
}

interface PlacedHash {
  readonly at: string;
  readonly text: string;
}

function hashesOf(root: Section): readonly PlacedHash[] {
  const admin = root.section('server').section('admin');
  const keys = root.section('auth').sections('api_keys');
  return [
    ...keys.map((key) => ({ at: key.at('key_hash'), text: key.maybeText('key_hash') ?? '' })),
    ...admin.list('tokens').map((text, index) => ({ at: `${admin.at('tokens')}[${index}]`, text })),
  ];
}
