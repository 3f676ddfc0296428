import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The programs that a run starts, and the Debian package of each. */
const PACKAGES: Readonly<Record<string, string>> = {
  wrk: 'wrk',
  luajit: 'luajit',
  nginx: 'nginx-light',
  openssl: 'openssl',
  'redis-server': 'redis-server',
};

/** Debian keeps servers in sbin, which is not on an ordinary user's path. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** Puts those folders on the path of this process, and throws when a program is missing all the same. */
export function requireTools(): void {
  process.env['PATH'] = searchPath(process.env['PATH'] ?? '');
  const problem = toolProblem(process.env['PATH']);
  if (problem !== null) throw new Error(problem);
}

export function searchPath(path: string): string {
  return [path, ...SYSTEM_FOLDERS].join(delimiter);
}

/** What to install before a run can start; null when everything is on `path`. */
export function toolProblem(path: string): string | null {
  const missing = Object.keys(PACKAGES).filter((command) => !isOnPath(command, path));
  if (missing.length === 0) return null;
  const packages = missing.map((command) => PACKAGES[command]).join(' ');
  return `Programs that are not installed: ${missing.join(', ')}. Run\n\n  sudo apt-get install --no-install-recommends ${packages}\n`;
}

function isOnPath(command: string, path: string): boolean {
  return path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder || '.', command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
