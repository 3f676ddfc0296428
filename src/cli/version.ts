import { VERSION } from '../core/version.ts';
import { nativeInfo } from '../listener/native.ts';
import { EXIT_OK, printLine, type CliIo } from './io.ts';
import { packageInfo } from './package-info.ts';

/** `version`: what is running, for a bug report. */
export async function version(io: CliIo): Promise<number> {
  const { name, commit } = packageInfo();
  const native = nativeInfo();
  printLine(io, `${name} ${VERSION}`);
  printLine(io, `commit         ${commit ?? 'unknown'}`);
  printLine(io, `runtime        Node.js ${process.versions.node} (${process.platform} ${process.arch}, ABI ${process.versions.modules})`);
  printLine(io, `uWebSockets.js ${native.version}, sha256 ${native.sha256 === '' ? 'none for this platform' : native.sha256}`);
  return EXIT_OK;
}
