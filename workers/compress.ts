import { gzipFile } from '../src/audit/gzip-file.ts';

/** Piscina task: compresses a rotated audit file in place of the event loop. */
export default async function compress(path: string): Promise<void> {
  await gzipFile(path);
}
