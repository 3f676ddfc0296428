/** Seals what a client carries for the gateway and hands back (2026-07-28, `requestState`): only gateways with the same keys read or make it. */
export interface StateSeal {
  seal(plain: Uint8Array): string;
  /** Null for anything that no key of ours sealed. */
  open(token: string): Buffer | null;
}
