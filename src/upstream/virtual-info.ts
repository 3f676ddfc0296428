import type { UpstreamInfo } from '../core/upstream.ts';
import { LATEST_LEGACY_REVISION } from '../mcp/revisions.ts';
import type { Member } from './list-merge.ts';

/** Longest instructions that are passed on: those of the members together. */
const MAX_INSTRUCTIONS_CHARS = 256 * 1024;

/** What a virtual server says of itself: everything that any member can; null before one was reached. */
export function mergedInfo(name: string, version: string, members: readonly Member[]): UpstreamInfo | null {
  const infos = members.flatMap(({ upstream }) => (upstream.info === null ? [] : [{ name: upstream.name, info: upstream.info }]));
  if (infos.length === 0) return null;
  const parts = infos.flatMap((one) => (one.info.instructions === null ? [] : [`# ${one.name}\n\n${one.info.instructions}`]));
  const instructions = parts.join('\n\n').slice(0, MAX_INSTRUCTIONS_CHARS).toWellFormed();
  return {
    protocolVersion: LATEST_LEGACY_REVISION,
    name: 'mcp-guard',
    version,
    serverInfo: JSON.stringify({ name: 'mcp-guard', title: name, version }),
    capabilities: new Set(infos.flatMap(({ info }) => [...info.capabilities])),
    instructions: instructions === '' ? null : instructions,
  };
}
