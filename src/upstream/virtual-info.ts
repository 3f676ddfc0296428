import type { ModernInfo, Upstream, UpstreamInfo } from '../core/upstream.ts';
import { RELAYED_CAPABILITIES } from '../mcp/methods.ts';
import { LATEST_LEGACY_REVISION, MODERN_REVISION } from '../mcp/revisions.ts';
import { TASKS_EXTENSION } from '../mcp/task-messages.ts';
import type { Member } from './list-merge.ts';

/** Longest instructions that are passed on: those of the members together. */
const MAX_INSTRUCTIONS_CHARS = 256 * 1024;

type NamedInfo = readonly [name: string, info: UpstreamInfo];

/** What a virtual server says of itself: everything that any member can; null before one was reached. */
export function mergedInfo(name: string, version: string, members: readonly Member[]): UpstreamInfo | null {
  const infos = members.flatMap(({ upstream }): NamedInfo[] => (upstream.info === null ? [] : [[upstream.name, upstream.info]]));
  return infos.length === 0 ? null : merged(name, version, infos);
}

/** What a member is in revision 2026-07-28: as it speaks it itself, or as it is bridged. */
export function modernOf({ modern, bridged = null }: Upstream): ModernInfo | null {
  return modern ?? bridged;
}

/** The same in revision 2026-07-28; null unless all members speak it, of themselves or by the bridge. */
export function mergedModern(name: string, version: string, members: readonly Member[]): ModernInfo | null {
  const infos = members.flatMap(({ upstream }): NamedInfo[] => {
    const modern = modernOf(upstream);
    return modern === null ? [] : [[upstream.name, modern.legacy]];
  });
  if (infos.length === 0 || infos.length < members.length) return null;
  const legacy = merged(name, version, infos);
  const capabilities = RELAYED_CAPABILITIES.filter((capability) => legacy.capabilities.has(capability)).map((capability) => [
    capability,
    optionsOf(capability, infos, ['listChanged', 'subscribe']),
  ]);
  const hasTasks = members.some(({ upstream }) => upstream.modern?.hasTasks === true);
  const discover = {
    resultType: 'complete',
    supportedVersions: [MODERN_REVISION],
    capabilities: { ...(Object.fromEntries(capabilities) as object), ...(hasTasks && { extensions: { [TASKS_EXTENSION]: {} } }) },
    ...(legacy.instructions !== null && { instructions: legacy.instructions }),
    ttlMs: 0,
    cacheScope: 'private',
    _meta: { 'io.modelcontextprotocol/serverInfo': JSON.parse(legacy.serverInfo) as unknown },
  };
  return { discover: JSON.stringify(discover), hasTasks, life: '', legacy };
}

/** A member in a session of one client at the virtual server. */
interface MemberShare {
  readonly name: string;
  readonly info: UpstreamInfo | null;
  /** It has a session of its own behind it: what it tells and can be told reaches the client. */
  readonly hasOwn: boolean;
  /** What it says of its lists outside of requests is heard. */
  readonly isHeard: boolean;
}

/** What is agreed on in a session at a virtual server: what a member can do for one client only if it has a session for it. Null before one was reached. */
export function sessionInfo(name: string, version: string, revision: string, members: readonly MemberShare[]): UpstreamInfo | null {
  const infosOf = (some: readonly MemberShare[]): NamedInfo[] =>
    some.flatMap((member): NamedInfo[] => (member.info === null ? [] : [[member.name, member.info]]));
  const infos = infosOf(members);
  if (infos.length === 0) return null;
  const info = merged(name, version, infos);
  const own = infosOf(members.filter(({ hasOwn }) => hasOwn));
  const heard = infosOf(members.filter(({ isHeard }) => isHeard));
  const relayed = RELAYED_CAPABILITIES.filter((capability) => info.capabilities.has(capability));
  const capabilities = relayed.map((capability): [string, object] => [
    capability,
    { ...optionsOf(capability, heard, ['listChanged']), ...optionsOf(capability, own, ['subscribe']) },
  ]);
  if (own.some(([, one]) => one.capabilities.has('logging'))) capabilities.push(['logging', {}]);
  return { ...info, protocolVersion: revision, capabilitiesJson: JSON.stringify(Object.fromEntries(capabilities)) };
}

/** What any member tells of changes is told here too. */
function optionsOf(capability: string, infos: readonly NamedInfo[], known: readonly string[]): object {
  const declared = infos.map(
    ([, info]) => JSON.parse(info.capabilitiesJson) as Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  );
  const options = known.filter((option) => declared.some((one) => one[capability]?.[option] === true));
  return Object.fromEntries(options.map((option) => [option, true]));
}

function merged(name: string, version: string, infos: readonly NamedInfo[]): UpstreamInfo {
  const parts = infos.flatMap(([server, { instructions }]) => (instructions === null ? [] : [`# ${server}\n\n${instructions}`]));
  const instructions = parts.join('\n\n').slice(0, MAX_INSTRUCTIONS_CHARS).toWellFormed();
  return {
    protocolVersion: LATEST_LEGACY_REVISION,
    name: 'mcp-guard',
    version,
    serverInfo: serverInfoOf(name, version),
    capabilities: new Set(infos.flatMap(([, info]) => [...info.capabilities])),
    // The options of one member say nothing of the others, and only sessions of one server's own show them.
    capabilitiesJson: '{}',
    instructions: instructions === '' ? null : instructions,
  };
}

/** JSON text of what a virtual server is called. */
export function serverInfoOf(name: string, version: string): string {
  return JSON.stringify({ name: 'mcp-guard', title: name, version });
}
