import type { ConfigSnapshot, VirtualSettings } from '../core/config.ts';
import type { Problems } from './problems.ts';
import type { Section } from './section.ts';

/** With a longer one little is left of the 128 characters that a tool name may have, or of the 64 that some clients take. */
const LONG_PREFIX_CHARS = 40;

/** One virtual server and where it is configured. */
interface Placed {
  readonly settings: VirtualSettings;
  readonly section: Section;
}

/** Virtual servers: each with a name and a path of its own, and names of tools that tell its members apart. */
export function checkVirtuals(upstream: Section, { upstreams, virtuals }: ConfigSnapshot, problems: Problems): void {
  const servers = upstreams.map(({ name }) => name);
  const placed = placesOf(upstream, virtuals);
  placed.forEach((one, index) => {
    const others = placed.slice(0, index);
    checkName(one, servers, others, problems);
    checkPath(one, upstreams, others, problems);
    checkMembers(one, servers, problems);
    checkPrefixes(one, problems);
  });
}

function placesOf(upstream: Section, virtuals: readonly VirtualSettings[]): Placed[] {
  const sections = upstream.sections('virtual');
  const aggregate = upstream.section('aggregate');
  const chosen = virtuals.filter(({ isAggregate }) => !isAggregate);
  return virtuals.flatMap((settings) => {
    const section = settings.isAggregate ? aggregate : sections[chosen.indexOf(settings)];
    return section === undefined ? [] : [{ settings, section }];
  });
}

function nameAt({ settings, section }: Placed): string {
  return section.at(settings.isAggregate ? 'enabled' : 'name');
}

function checkName(one: Placed, servers: readonly string[], others: readonly Placed[], problems: Problems): void {
  const { name } = one.settings;
  if (servers.includes(name)) problems.error(nameAt(one), `gives it the name of a server: ${JSON.stringify(name)}`);
  const other = others.find(({ settings }) => settings.name === name);
  if (other !== undefined && name !== '') problems.error(nameAt(one), `is the same as ${nameAt(other)}`);
}

/** Names of servers and virtual servers come before prefixes; a path that something else answers is never reached. */
function checkPath(
  { settings, section }: Placed,
  upstreams: ConfigSnapshot['upstreams'],
  others: readonly Placed[],
  problems: Problems,
): void {
  const { path } = settings;
  const at = section.at('path');
  const owner = upstreams.find(({ name }) => name === path.split('/')[1]);
  if (owner !== undefined) problems.error(at, `begins with the name of a server (${JSON.stringify(owner.name)}), which would answer first`);
  const same = upstreams.find(({ pathPrefix }) => pathPrefix === path);
  if (same !== undefined) problems.error(at, `is the path_prefix of a server (${JSON.stringify(same.name)})`);
  const other = others.find((one) => one.settings.path === path);
  if (other !== undefined) problems.error(at, `is the same as ${other.section.at('path')}`);
}

function checkMembers({ settings, section }: Placed, servers: readonly string[], problems: Problems): void {
  if (settings.isAggregate) return;
  const at = section.at('servers');
  if (settings.servers.length === 0 && servers.length > 0) problems.error(at, 'is empty: it would offer nothing');
  settings.servers.forEach((name, index) => {
    if (!servers.includes(name)) problems.error(`${at}[${index}]`, `names no server: ${JSON.stringify(name)}`);
    if (settings.servers.indexOf(name) !== index) problems.error(`${at}[${index}]`, `is given twice: ${JSON.stringify(name)}`);
  });
}

/** Where one prefix begins with another, a name could mean a tool of either. */
function checkPrefixes({ settings, section }: Placed, problems: Problems): void {
  const { servers, separator } = settings;
  for (const one of servers) {
    const prefix = one + separator;
    const other = servers.find((name) => name !== one && (name + separator).startsWith(prefix));
    if (other !== undefined) {
      const names = `${JSON.stringify(one)} and ${JSON.stringify(other)}`;
      problems.error(
        section.at('separator'),
        `does not tell the tools of ${names} apart: both may have one that begins with ${JSON.stringify(other + separator)}`,
      );
    }
    if (prefix.length > LONG_PREFIX_CHARS) {
      problems.warn(
        section.at('separator'),
        `makes a prefix of ${prefix.length} characters for ${JSON.stringify(one)}: longer names than 128 in all are left out`,
      );
    }
  }
}
