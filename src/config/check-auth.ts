import type { ConfigSnapshot } from '../core/config.ts';
import type { Problems } from './problems.ts';
import { refuseRepeated } from './refuse-repeated.ts';
import type { Section } from './section.ts';

/** Callers: each known once, none forgotten, nothing granted by accident. */
export function checkAuth(section: Section, snapshot: ConfigSnapshot, nowMs: number, problems: Problems): void {
  const keys = section.sections('api_keys');
  refuseRepeated(keys, 'id', problems);
  for (const [index, key] of keys.entries()) checkApiKey(key, snapshot, index, nowMs, problems);
  if (keys.length === 0 && !section.flag('allow_anonymous')) {
    problems.warn(section.path, 'has no api_keys and allow_anonymous is false: every MCP request will be answered 401');
  }
  const metadata = section.section('resource_metadata');
  if (metadata.hasAny() && metadata.maybeText('resource') === null) problems.error(metadata.at('resource'), 'is missing');
}

function checkApiKey(section: Section, snapshot: ConfigSnapshot, index: number, nowMs: number, problems: Problems): void {
  if (section.maybeList('allowed_tools') === null) {
    const meaning = snapshot.auth.defaultTools === 'all' ? 'every tool is allowed' : 'no tool is allowed';
    problems.warn(section.path, `has no allowed_tools, so ${meaning} (auth.default_tools): write ["*"] or [] to say which`);
  }
  const expiresAtMs = snapshot.auth.apiKeys[index]?.expiresAtMs ?? null;
  if (expiresAtMs !== null && expiresAtMs <= nowMs) problems.warn(section.at('expires_at'), 'has passed: this key is refused');
}
