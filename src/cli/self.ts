import { extname, join } from 'node:path';

/** The entry point of this very program, built or not. */
export function mainPath(): string {
  return join(import.meta.dirname, '..', `main${extname(import.meta.filename)}`);
}

/** How to start the bundled demo server from any folder: this Node, this program. */
export function demoServerCommand(): { readonly command: string; readonly args: readonly string[] } {
  return { command: process.execPath, args: [mainPath(), 'demo-server'] };
}
