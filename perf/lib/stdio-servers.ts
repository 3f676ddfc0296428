import { fileURLToPath } from 'node:url';

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

/** The bundled demo server with a tool `burn` that computes for 100 µs. */
export const DEMO_SERVER: readonly string[] = [process.execPath, '--no-warnings', fixture('demo-burn.ts')];

/** A server that costs next to nothing. */
export const ECHO_SERVER: readonly string[] = [process.execPath, '--no-warnings', fixture('stdio-echo.ts')];
