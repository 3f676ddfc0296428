import { spawnSync } from 'node:child_process';
import { accessSync, constants, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The real programs that tests run, with the Debian package of each; `service`: what that package would start by itself. */
export const SERVICES = [
  { command: 'nginx', package: 'nginx-light', service: 'nginx' },
  { command: 'haproxy', package: 'haproxy', service: 'haproxy' },
  { command: 'openssl', package: 'openssl', service: null },
  { command: 'curl', package: 'curl', service: null },
  { command: 'ps', package: 'procps', service: null },
  { command: 'wrk', package: 'wrk', service: null },
  { command: 'luajit', package: 'luajit', service: null },
  { command: 'redis-server', package: 'redis-server', service: 'redis-server' },
  { command: 'redis-cli', package: 'redis-tools', service: null },
];

function isOnPath(command, path) {
  return path.split(':').some((folder) => {
    try {
      accessSync(join(folder || '.', command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** The services whose command is nowhere on `path`. */
export function missingServices(path) {
  return SERVICES.filter((service) => !isOnPath(service.command, path));
}

function run(where, command, args, stdio) {
  const env = { ...process.env, PATH: where.path, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync(command, args, { stdio, env }).status === 0;
}

/** Runs `work` while a policy file forbids packages to start their services; one that stands there already is left alone. */
function withoutStarting(policyFile, work) {
  let isOurs = false;
  try {
    writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755, flag: 'wx' });
    isOurs = true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  try {
    work();
  } finally {
    if (isOurs) rmSync(policyFile);
  }
}

/** Keeps what was installed for tests from starting with the machine; where there is no init system there is nothing to do. */
function disable(where, services) {
  const names = services.flatMap(({ service }) => (service === null ? [] : [service]));
  for (const name of names) run(where, 'update-rc.d', [name, 'disable'], 'ignore');
  if (names.length > 0) run(where, 'systemctl', ['disable', '--now', ...names], 'ignore');
}

function install(where, services) {
  const args = ['install', '--no-install-recommends', '-y', ...services.map((service) => service.package)];
  const apt = (words) => run(where, 'apt-get', words, ['ignore', 2, 2]);
  withoutStarting(where.policyFile, () => apt(args) || (apt(['update']) && apt(args)));
  disable(where, services);
}

function instructions(services) {
  const packages = services.map((service) => service.package).join(' ');
  const started = services.flatMap(({ service }) => (service === null ? [] : [service]));
  return [
    `Tests need programs that are not installed: ${services.map((service) => service.command).join(', ')}. Run`,
    '',
    `  sudo apt-get update && sudo apt-get install --no-install-recommends -y ${packages}`,
    ...(started.length > 0 ? [`  sudo systemctl disable --now ${started.join(' ')}    # tests start their own`] : []),
    '',
    'and run the tests again.',
  ].join('\n');
}

/**
 * Null when all services are there, installing them if this is root; otherwise what to do. Tests are never skipped for
 * want of one. `where`: the search path, whether this is root, and the policy file that apt asks before it starts a service.
 */
export function ensureServices(where) {
  const missing = missingServices(where.path);
  if (missing.length === 0) return null;
  if (where.isRoot) install(where, missing);
  const still = missingServices(where.path);
  return still.length === 0 ? null : instructions(still);
}

/** This machine, with the given search path. */
export function thisMachine(path) {
  return { path, isRoot: process.getuid?.() === 0, policyFile: '/usr/sbin/policy-rc.d' };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problem = ensureServices(thisMachine(process.env.PATH ?? ''));
  if (problem !== null) {
    console.error(problem);
    process.exit(1);
  }
}
