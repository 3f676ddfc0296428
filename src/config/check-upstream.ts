import { isPoolAsked, isSingleForm, serverSections, transportOf } from './build-upstream.ts';
import type { Problems } from './problems.ts';
import { refuseRepeated } from './refuse-repeated.ts';
import { HTTP_KEYS, SERVER_FIELDS, STDIO_KEYS } from './schema-upstream.ts';
import type { Section } from './section.ts';
import { normalizePrefix } from './syntax.ts';

/** The servers: at least one, each reachable under names and prefixes of its own, each with what its transport needs. */
export function checkUpstreams(upstream: Section, problems: Problems): void {
  const sections = serverSections(upstream);
  const isSingle = isSingleForm(upstream);
  if (sections.length === 0) problems.error(upstream.path, 'names no MCP server: give upstream.command, upstream.url or upstream.servers');
  if (isSingle && upstream.sections('servers').length > 0) {
    const key = Object.keys(SERVER_FIELDS).find((name) => upstream.isSet(name)) ?? '';
    problems.error(upstream.at(key), 'belongs to the form with one server, and upstream.servers is given too: use one form');
  }
  for (const section of sections) checkServerKeys(section, section !== upstream, problems);
  refuseRepeated(sections, 'name', problems);
  refuseRepeated(sections, 'path_prefix', problems, normalizePrefix);
  refuseClashes(sections, problems);
}

function checkServerKeys(section: Section, isNameNeeded: boolean, problems: Problems): void {
  const transport = transportOf(section);
  const isStdio = transport === 'stdio';
  if (isNameNeeded && !section.isSet('name')) problems.error(section.at('name'), 'is missing');
  const needed = isStdio ? 'command' : 'url';
  if (!section.isSet(needed)) problems.error(section.at(needed), `is missing: transport "${transport}" needs it`);
  for (const name of isStdio ? HTTP_KEYS : STDIO_KEYS) {
    if (section.isSet(name)) problems.error(section.at(name), `has no meaning with transport "${transport}"`);
  }
  if (transport !== 'http' && !isStdio && section.isSet('strip_prefix'))
    problems.error(section.at('strip_prefix'), `has no meaning with transport "${transport}"`);
  const url = section.maybeText('url');
  const isWebSocket = transport === 'websocket';
  if (!isStdio && url !== null && /^ws/i.test(url) !== isWebSocket)
    problems.error(section.at('url'), `must be ${isWebSocket ? 'a ws or wss' : 'an http or https'} URL with transport "${transport}"`);
  refuseSameHeaders(section, problems);
  if (isStdio) checkPool(section, problems);
  else if (section.entry('isolation').value === 'principal')
    problems.error(section.at('isolation'), `"principal" has no meaning with transport "${transport}"`);
  if (section.number('timeout_max_secs') < section.number('timeout_secs'))
    problems.error(section.at('timeout_max_secs'), 'is shorter than timeout_secs');
  checkToolTimeouts(section.sections('tool_timeouts'), problems);
}

function checkToolTimeouts(tools: readonly Section[], problems: Problems): void {
  refuseRepeated(tools, 'tool_pattern', problems);
  for (const tool of tools) {
    const idle = tool.maybeNumber('timeout_secs');
    const most = tool.maybeNumber('timeout_max_secs');
    if (idle === null && most === null) problems.error(tool.path, 'changes nothing: give timeout_secs, timeout_max_secs, or both');
    if (idle !== null && most !== null && most < idle) problems.error(tool.at('timeout_max_secs'), 'is shorter than timeout_secs');
  }
}

function checkPool(section: Section, problems: Problems): void {
  const pool = section.section('pool');
  const isolation = section.entry('isolation').value;
  if (isolation === 'session' && isPoolAsked(pool)) problems.error(section.at('pool'), 'has no meaning with isolation "session"');
  const noMeaning = 'has no meaning unless isolation is "shared"';
  if (isolation === 'principal') {
    if (pool.number('min') > 0) problems.error(pool.at('min'), noMeaning);
    if (pool.number('child_calls') !== 1) problems.error(pool.at('child_calls'), noMeaning);
  }
  const max = pool.maybeNumber('max');
  if (max !== null && pool.number('min') > max) problems.error(pool.at('min'), 'is more than max');
}

/** Header names do not differ by case. */
function refuseSameHeaders(section: Section, problems: Problems): void {
  const seen = new Set<string>();
  for (const name of section.map('headers').keys()) {
    if (seen.has(name.toLowerCase()))
      problems.error(`${section.at('headers')}.${name}`, 'is given twice: header names do not differ by case');
    seen.add(name.toLowerCase());
  }
}

/** `/mcp/<name>` is looked up before prefixes, so a prefix that begins with another server's name is never reached. */
function refuseClashes(sections: readonly Section[], problems: Problems): void {
  const owners = new Map(sections.map((section) => [section.maybeText('name'), section]));
  for (const section of sections) {
    const prefix = section.maybeText('path_prefix');
    const owner = owners.get(prefix?.split('/')[1] ?? null);
    if (prefix !== null && owner !== undefined && owner !== section) {
      problems.error(section.at('path_prefix'), `begins with the name of another server (${owner.at('name')}), which would answer first`);
    }
  }
}
