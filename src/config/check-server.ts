import type { ConfigSnapshot } from '../core/config.ts';
import { checkTls } from './check-tls.ts';
import type { Problems } from './problems.ts';
import type { Section } from './section.ts';
import { isLoopback } from './syntax.ts';

/** The listeners: usable, and not open to the world by accident. */
export function checkServer(section: Section, snapshot: ConfigSnapshot, nowMs: number, problems: Problems): void {
  checkTls(section.section('tls'), snapshot.server.tls, nowMs, problems);
  checkEngine(section, problems);
  checkExposure(section, snapshot, problems);
  checkAdmin(section, snapshot, problems);
  if (section.number('drain_delay_secs') > section.number('drain_timeout_secs')) {
    problems.error(section.at('drain_delay_secs'), 'is longer than drain_timeout_secs, which includes it');
  }
  const cors = section.section('cors');
  if (cors.flag('enabled') && cors.list('allowed_origins').length === 0) {
    problems.warn(cors.at('allowed_origins'), 'is empty: no browser may call although cors.enabled is true');
  }
}

function checkEngine(section: Section, problems: Problems): void {
  const isUws = section.choice('engine', ['uws', 'node']) === 'uws';
  const hasTls = section.section('tls').hasAny(['cert_path', 'key_path']);
  if (isUws && hasTls && section.isSet('engine')) problems.error(section.at('engine'), '"uws" serves no TLS: remove it or write "node"');
  if (isUws && !hasTls && section.isSet('idle_timeout_secs')) {
    problems.warn(section.at('idle_timeout_secs'), 'has no effect with engine "uws", which closes idle connections after 10 to 12 s');
  }
}

function checkExposure(section: Section, snapshot: ConfigSnapshot, problems: Problems): void {
  const { host, tls } = snapshot.server;
  if (isLoopback(host)) return;
  if (snapshot.auth.isAnonymousAllowed) {
    problems.error(section.at('host'), 'is reachable from other machines: with auth.allow_anonymous only a loopback address is accepted');
  } else if (snapshot.auth.apiKeys.length === 0) {
    problems.error(
      section.at('host'),
      'is reachable from other machines and no authentication is configured: add auth.api_keys or listen on 127.0.0.1',
    );
  }
  if (tls === null)
    problems.warn(
      section.at('host'),
      'is reachable from other machines without TLS: keys travel in the clear unless a proxy in front encrypts',
    );
}

function checkAdmin(section: Section, snapshot: ConfigSnapshot, problems: Problems): void {
  const admin = section.section('admin');
  const { listen, tokenHashes } = snapshot.server.admin;
  if (listen === null) {
    if (admin.isSet('host')) problems.error(admin.at('host'), 'needs admin.port');
    return;
  }
  if (!isLoopback(listen.host) && tokenHashes.length === 0) {
    problems.error(admin.at('host'), 'is reachable from other machines: the admin listener then needs admin.tokens');
  }
  if (
    listen.port !== 0 &&
    listen.port === snapshot.server.port &&
    (listen.host === snapshot.server.host || isWildcard(listen.host) || isWildcard(snapshot.server.host))
  ) {
    problems.error(admin.at('port'), 'is the same as server.port');
  }
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}
