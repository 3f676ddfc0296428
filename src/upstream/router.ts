import type { UpstreamSettings } from '../core/config.ts';
import type { Upstream } from '../core/upstream.ts';
import type { VirtualServer } from '../core/virtual.ts';

export interface RouteMatch {
  readonly upstream: Upstream;
  readonly virtual: VirtualServer | null;
  /** What follows the match, `/…` or empty; always empty unless the server is HTTP with `strip_prefix`. */
  readonly restPath: string;
}

/** A server and how it is reached. */
export interface Route {
  readonly settings: UpstreamSettings;
  readonly upstream: Upstream;
}

/** A virtual server and the one path that it has, behind `/mcp`. */
export interface VirtualRoute {
  readonly path: string;
  readonly server: VirtualServer;
}

const ROOT = '/mcp';

/**
 * Finds the server behind `/mcp` and `/mcp/…`: exact name, then a virtual server of that very path, then the longest prefix on a
 * segment boundary, then the catch-all `/`. A path deeper than its match goes to the same URL unless `strip_prefix` appends the rest.
 */
export class Router {
  readonly #byName: ReadonlyMap<string, Route>;
  /** Longest first; the catch-all is apart. */
  readonly #prefixes: readonly { readonly prefix: string; readonly route: Route }[];
  readonly #catchAll: Route | null;
  readonly #root: Route | null;
  readonly #virtuals: ReadonlyMap<string, RouteMatch>;

  constructor(routes: readonly Route[], virtuals: readonly VirtualRoute[] = []) {
    this.#virtuals = new Map(
      virtuals.map(({ path, server }) => [path.replace(/\/+$/, ''), { upstream: server, virtual: server, restPath: '' }]),
    );
    this.#byName = new Map(routes.map((route) => [route.settings.name, route]));
    this.#prefixes = routes
      .map((route) => ({ prefix: (route.settings.pathPrefix ?? '').replace(/\/+$/, ''), route }))
      .filter(({ prefix }) => prefix !== '')
      .sort((one, other) => other.prefix.length - one.prefix.length);
    this.#catchAll = routes.find(({ settings }) => settings.pathPrefix === '/') ?? null;
    const [only] = routes;
    this.#root = routes.length === 1 && only !== undefined ? only : this.#catchAll;
  }

  /** `path` as received, without the query. Null: there is nothing there. */
  match(path: string): RouteMatch | null {
    if (path === ROOT || path === `${ROOT}/`) return this.#virtuals.get('') ?? (this.#root === null ? null : matched(this.#root, ''));
    if (!path.startsWith(`${ROOT}/`)) return null;
    return this.#matchBelow(path.slice(ROOT.length));
  }

  #matchBelow(path: string): RouteMatch | null {
    const end = path.indexOf('/', 1);
    const segment = end < 0 ? path.slice(1) : path.slice(1, end);
    const named = this.#byName.get(segment);
    if (named !== undefined) return matched(named, end < 0 ? '' : path.slice(end));
    const virtual = this.#virtuals.get(path.endsWith('/') ? path.slice(0, -1) : path);
    if (virtual !== undefined) return virtual;
    for (const { prefix, route } of this.#prefixes) {
      if (path === prefix || path.startsWith(`${prefix}/`)) return matched(route, path.slice(prefix.length));
    }
    return this.#catchAll === null ? null : matched(this.#catchAll, path);
  }
}

function matched({ settings, upstream }: Route, rest: string): RouteMatch | null {
  const isAppended = settings.isPrefixStripped && settings.transport === 'http';
  if (!isAppended || rest === '' || rest === '/') return { upstream, virtual: null, restPath: '' };
  return isPlain(rest) ? { upstream, virtual: null, restPath: rest } : null;
}

/** The head guard has refused what is doubtful; what becomes part of a URL is checked here all the same. */
function isPlain(rest: string): boolean {
  if (!/^(\/[A-Za-z0-9\-._~!$&'()*+,;=:@%]*)+$/.test(rest) || /%(?![0-9A-Fa-f]{2})|%(00|2f|5c)/i.test(rest)) return false;
  return !rest.split('/').some((segment) => /^(\.|%2e){1,2}$/i.test(segment)) && !rest.includes('//');
}
