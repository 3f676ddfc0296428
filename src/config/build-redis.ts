import { resolve } from 'node:path';
import type { RedisSettings } from '../core/config.ts';
import { parseRedisUrl } from './redis-url.ts';
import type { Section } from './section.ts';

/** Null without a URL: this gateway shares nothing with other hosts. Of a URL that was refused, too. */
export function buildRedis(section: Section, baseDir: string): RedisSettings | null {
  const url = section.maybeText('url');
  const address = url === null ? null : parseRedisUrl(url);
  if (address === null || 'fault' in address) return null;
  const { isEncrypted, ...where } = address;
  const caPath = section.maybeText('ca_path');
  const hasTls = isEncrypted || section.flag('tls');
  return {
    ...where,
    prefix: section.text('prefix'),
    tls: hasTls ? { caPath: caPath === null ? null : resolve(baseDir, caPath), isVerified: section.flag('tls_verify') } : null,
    maxHosts: section.number('max_hosts'),
  };
}
