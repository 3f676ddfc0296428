import type { Envelope } from '../core/envelope.ts';
import { encodeHeaderValue } from '../mcp/header-value.ts';
import { nameSource } from '../mcp/modern-methods.ts';
import { MODERN_REVISION } from '../mcp/revisions.ts';

/** Header lists that are kept, so that their text on the wire is made once. */
const MAX_KEPT = 256;
const MAX_KEPT_CHARS = 256;

/** Headers of requests of revision 2026-07-28, made from the body that they go with (Transports, standard request headers). */
export class ModernHeaders {
  readonly #common: readonly string[];
  readonly #kept = new Map<string, readonly string[]>();

  constructor(common: readonly string[]) {
    this.#common = [...common, 'mcp-protocol-version', MODERN_REVISION];
  }

  /** `params`: the `Mcp-Param-*` headers of a call, as the client sent them. */
  of(message: Envelope, params: readonly string[] | null): readonly string[] {
    const source = nameSource(message.method);
    const name = source === undefined ? null : message[source];
    if (params !== null && message.method === 'tools/call') return [...this.#standard(message.method, name), ...params];
    return this.#standard(message.method, name);
  }

  /** For a message of the gateway's own. */
  ofMethod(method: string): readonly string[] {
    return this.#standard(method, null);
  }

  #standard(method: string, name: string | null): readonly string[] {
    const key = name === null ? method : `${method} ${name}`;
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const headers = [...this.#common, 'mcp-method', method];
    if (name !== null) headers.push('mcp-name', encodeHeaderValue(name));
    if (key.length > MAX_KEPT_CHARS) return headers;
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    this.#kept.set(key, headers);
    return headers;
  }
}
