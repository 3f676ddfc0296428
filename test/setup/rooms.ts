/**
 * Who may import whom, once: `test/architecture.test.ts` enforces it on the syntax trees, and the room rules of
 * `.oxlintrc.json` are generated from it, so that the editor says the same.
 */
export interface Area {
  /** What the area is, for messages. */
  readonly name: string;
  /** Path prefixes; the first area in the list that matches a file is its area. */
  readonly files: readonly string[];
  /** Path prefixes under `src/` that its files may import beside their own area; null = anything. */
  readonly mayImport: readonly string[] | null;
}

/** The rooms: folders of `src/`, each answering one question. */
export const ROOMS = [
  'core',
  'config',
  'listener',
  'pipeline',
  'mcp',
  'auth',
  'limit',
  'policy',
  'guard',
  'upstream',
  'store',
  'audit',
  'observe',
  'process',
  'demo',
  'cli',
] as const;

/** Rooms that import `core` and `mcp` only, never each other. */
const PLAIN = ['listener', 'auth', 'limit', 'policy', 'guard', 'upstream', 'store', 'audit', 'observe'] as const;

/** Beside whole rooms, single files: a command does offline what the gateway does, with the very code that does it. */
const COMMAND_LINE = [
  'src/core/',
  'src/config/',
  'src/process/',
  'src/demo/',
  'src/pipeline/build.ts',
  'src/pipeline/verify.ts',
  'src/auth/keys.ts',
  'src/listener/native.ts',
  'src/policy/compile.ts',
  'src/policy/tool-index.ts',
  'src/upstream/probe.ts',
];

/** In order of precedence. A file of `src/` or `workers/` that is in none of them is an error. */
export const AREAS: readonly Area[] = [
  { name: 'core', files: ['src/core/'], mayImport: [] },
  { name: 'mcp', files: ['src/mcp/'], mayImport: ['src/core/'] },
  { name: 'config', files: ['src/config/'], mayImport: ['src/core/'] },
  { name: 'demo', files: ['src/demo/'], mayImport: ['src/core/'] },
  ...PLAIN.map((name) => ({ name, files: [`src/${name}/`], mayImport: ['src/core/', 'src/mcp/'] })),
  // The composition roots: what runs, and what judges a configuration before anything runs.
  { name: 'pipeline/build.ts', files: ['src/pipeline/build.ts', 'src/pipeline/verify.ts'], mayImport: null },
  { name: 'pipeline', files: ['src/pipeline/'], mayImport: ['src/core/', 'src/mcp/'] },
  {
    name: 'process',
    files: ['src/process/'],
    mayImport: ['src/core/', 'src/config/', 'src/pipeline/', 'src/limit/', 'src/store/', 'src/audit/', 'src/observe/', 'src/listener/'],
  },
  { name: 'the command line', files: ['src/cli/', 'src/main.ts', 'src/bin.ts'], mayImport: COMMAND_LINE },
  { name: 'workers', files: ['workers/'], mayImport: null },
];

/** The prefixes below which each of these packages may be imported. */
export const PACKAGE_OWNERS: Readonly<Record<string, readonly string[]>> = {
  'uWebSockets.js': ['src/listener/'],
  'prom-client': ['src/observe/'],
  '@opentelemetry': ['src/observe/'],
  pino: ['src/observe/'],
  'pino-pretty': ['src/observe/'],
  piscina: ['src/process/'],
  jose: ['src/auth/'],
  ioredis: ['src/store/'],
  undici: ['src/upstream/'],
  ws: ['src/upstream/', 'src/listener/'],
  commander: ['src/cli/', 'src/main.ts'],
  'node:cluster': ['src/process/'],
  'node:worker_threads': ['src/process/', 'workers/'],
};

/** The area of a file; null when it belongs to none. */
export function areaOf(path: string): Area | null {
  return AREAS.find((area) => area.files.some((prefix) => path.startsWith(prefix))) ?? null;
}

/** The prefixes that own the package of a specifier; null when anybody may import it. */
export function ownersOf(specifier: string): readonly string[] | null {
  const owned = Object.keys(PACKAGE_OWNERS).find((name) => specifier === name || specifier.startsWith(`${name}/`));
  return owned === undefined ? null : (PACKAGE_OWNERS[owned] ?? null);
}
