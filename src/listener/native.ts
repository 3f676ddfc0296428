import { createHash } from 'node:crypto';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { HttpResponse, TemplatedApp, us_listen_socket, us_socket } from 'uWebSockets.js';

/** The native library behind the `uws` engine, as found on this machine. */
export interface NativeInfo {
  /** Release of uWebSockets.js that the build was made from. */
  readonly version: string;
  /** File name of the build for this platform, architecture and Node ABI. */
  readonly file: string;
  /** Hex digest of the file; empty when it is missing. */
  readonly sha256: string;
  /** The digest is the one we know for this file. */
  readonly isVerified: boolean;
}

/** What is used of the library. Its types leave out `_cfg`. */
export interface NativeModule {
  App(): TemplatedApp;
  us_listen_socket_close(socket: us_listen_socket): void;
  us_socket_local_port(socket: us_socket): number;
  _cfg(key: string): void;
}

export type { HttpResponse };

const PACKAGE = 'uWebSockets.js';
const VERSION = '20.49.0';
/** Builds of uws-pack 20.0.8 that were looked at; others are refused. */
const KNOWN_BUILDS: Readonly<Record<string, string>> = {
  'uws_linux_x64_127.node': '8cabc918bbf9a07323e54f89a33882491080b2eb35df0607f473ccdb1f3c31af',
  'uws_linux_x64_115.node': '6f8d96d761a64beddb060f1f7f0e617dd293ed127ec1d57507aa561a0083171e',
  'uws_linux_arm64_127.node': 'd4c4f8b2c28c5f6544b49e36d91b0beee238a5b90a07904a947f77061c8b814d',
  'uws_linux_arm64_115.node': 'c0e29fc143b46b584f3debec7910014ec228198fc1f17aaeacd1de7991bd3769',
};
const MAX_HEAD_BYTES = '16384';
/** Removes the `uWebSockets` answer header. */
const NO_MARK = '999999990007';

const require = createRequire(import.meta.url);
let loading: Promise<NativeModule> | null = null;

/** For `mcp-guard version`; reads the file, loads nothing. */
export function nativeInfo(): NativeInfo {
  const file = nativeFile();
  return inspectNative(file, findNative(file));
}

/** Judges one build: `path` null = not found. */
export function inspectNative(file: string, path: string | null): NativeInfo {
  const sha256 = path === null ? '' : createHash('sha256').update(readFileSync(path)).digest('hex');
  const expected = KNOWN_BUILDS[file];
  return { version: VERSION, file, sha256, isVerified: expected !== undefined && sha256 === expected };
}

/**
 * Loads the library, once, after its native file was verified; rejects with an Error that says what to do otherwise.
 * Sets `UWS_HTTP_MAX_HEADERS_SIZE`, which the library reads from the environment while it is loaded.
 */
export function loadNative(): Promise<NativeModule> {
  loading ??= load();
  return loading;
}

async function load(): Promise<NativeModule> {
  const file = nativeFile();
  const path = findNative(file);
  const problem = nativeProblem(inspectNative(file, path));
  if (problem !== null) throw new Error(`${problem} Set server.engine = "node" to run without it.`);
  process.env['UWS_HTTP_MAX_HEADERS_SIZE'] = MAX_HEAD_BYTES;
  const library = (await import(PACKAGE)) as NativeModule;
  if (path === null || require.cache[path] === undefined) {
    throw new Error(`uWebSockets.js loaded another native file than the verified ${file}; refusing to start.`);
  }
  library._cfg(NO_MARK);
  return library;
}

/** Why a build must not be loaded, as a sentence; null when it may. */
export function nativeProblem(info: NativeInfo): string | null {
  if (info.sha256 === '') return `uWebSockets.js has no file ${info.file} for this platform.`;
  if (KNOWN_BUILDS[info.file] === undefined) return `The uWebSockets.js build ${info.file} is not a verified one.`;
  return info.isVerified ? null : `The SHA-256 of ${info.file} is ${info.sha256}, which is not the verified build; reinstall with npm ci.`;
}

function nativeFile(): string {
  return `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;
}

function findNative(file: string): string | null {
  const folders = require.resolve.paths(PACKAGE) ?? [];
  const found = folders.find((folder) => existsSync(join(folder, PACKAGE, 'package.json')));
  const path = found === undefined ? null : join(found, PACKAGE, 'dist', 'bin', file);
  return path !== null && existsSync(path) ? realpathSync(path) : null;
}
