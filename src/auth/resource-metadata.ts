import type { ResourceMetadataSettings } from '../core/config.ts';
import type { RequestHead } from '../core/head.ts';

/** Where RFC 9728 puts the document: between the resource's host and its path. */
const WELL_KNOWN = '/.well-known/oauth-protected-resource';

/** A public URL, split where the well-known part goes. No trailing slash. */
interface ResourceUrl {
  readonly origin: string;
  readonly path: string;
}

/** The gateway as an OAuth protected resource (RFC 9728), as configured or as the request's guarded Host shows it. */
export class ProtectedResource {
  /** Told to clients; revision 2025-11-25 keeps `offline_access` out of challenges and metadata. */
  readonly scopes: readonly string[];
  readonly #configured: ResourceUrl | null;
  readonly #servers: readonly string[];

  constructor(settings: ResourceMetadataSettings | null) {
    this.scopes = settings === null ? [] : settings.scopesSupported.filter((scope) => scope !== 'offline_access');
    this.#configured = settings === null ? null : parseResource(settings.resource);
    this.#servers = settings?.authorizationServers ?? [];
  }

  /** URL of the metadata document for the resource at `path`. */
  metadataUrl(head: RequestHead, path: string): string {
    const url = this.#urlAt(head, path);
    return url.origin + WELL_KNOWN + url.path;
  }

  /** The document (RFC 9728 section 2) for the resource at `path`, which may be empty: the whole origin. */
  metadata(head: RequestHead, path: string): string {
    const url = this.#urlAt(head, path);
    return JSON.stringify({
      resource: url.origin + url.path,
      ...(this.#servers.length > 0 && { authorization_servers: this.#servers }),
      ...(this.scopes.length > 0 && { scopes_supported: this.scopes }),
      bearer_methods_supported: ['header'],
    });
  }

  /** A configured resource gives the origin, and the path too unless `path` lies below it, as those of single servers do. */
  #urlAt(head: RequestHead, path: string): ResourceUrl {
    if (this.#configured === null) return { origin: `${head.secure ? 'https' : 'http'}://${head.host}`, path: trimmed(path) };
    return path.startsWith(`${this.#configured.path}/`) ? { origin: this.#configured.origin, path: trimmed(path) } : this.#configured;
  }
}

function parseResource(resource: string): ResourceUrl {
  const { origin, pathname } = new URL(resource);
  return { origin, path: trimmed(pathname) };
}

function trimmed(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
}
