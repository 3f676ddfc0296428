import type { UpstreamSettings, VirtualSettings } from '../core/config.ts';
import { milliseconds } from './build-server.ts';
import type { Section } from './section.ts';
import { normalizePrefix } from './syntax.ts';

/** What `upstream.aggregate` is called in log, audit and metrics. */
const AGGREGATE_NAME = 'aggregate';

/** The endpoints that merge servers: `upstream.aggregate` when it is on, then `upstream.virtual[]`. */
export function buildVirtuals(upstream: Section, upstreams: readonly UpstreamSettings[]): VirtualSettings[] {
  const all = upstreams.map(({ name }) => name);
  const aggregate = upstream.section('aggregate');
  const chosen = upstream.sections('virtual').map((section) => buildVirtual(section, all));
  return aggregate.flag('enabled') ? [buildAggregate(aggregate, all), ...chosen] : chosen;
}

function buildAggregate(section: Section, all: readonly string[]): VirtualSettings {
  const everything = { servers: all, tools: null, prompts: null, resources: null };
  return { name: AGGREGATE_NAME, isAggregate: true, path: normalizePrefix(section.text('path')), ...common(section), ...everything };
}

function buildVirtual(section: Section, all: readonly string[]): VirtualSettings {
  const name = section.maybeText('name') ?? '';
  return {
    name,
    isAggregate: false,
    path: normalizePrefix(section.maybeText('path') ?? `/${name}`),
    ...common(section),
    servers: section.maybeList('servers') ?? all,
    tools: section.maybeList('tools'),
    prompts: section.maybeList('prompts'),
    resources: section.maybeList('resources'),
  };
}

function common(section: Section): Pick<VirtualSettings, 'separator' | 'listTimeoutMs'> {
  return { separator: section.text('separator'), listTimeoutMs: milliseconds(section.number('list_timeout_secs')) };
}
