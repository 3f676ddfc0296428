import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { closedLoop } from '../lib/closed-loop.ts';
import { httpUpstream, startGateways } from '../lib/gateway.ts';
import { echoCall } from '../lib/plan.ts';
import type { Scenario } from '../lib/scenario.ts';
import { startUpstream } from '../lib/upstream.ts';

/** Makes a key and a certificate for it, good for a day. */
function makeCertificate(dir: string): { readonly cert_path: string; readonly key_path: string } {
  const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  const what = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', '/CN=localhost'];
  execFileSync('openssl', ['req', '-x509', ...what, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  return { cert_path: cert, key_path: key };
}

export const scenario: Scenario = {
  name: 'tls-node',
  shows: '`tools/call` over kept TLS connections, which the `node` engine serves, beside the same engine without TLS.',
  async run(bench) {
    const upstream = httpUpstream((await startUpstream(bench)).url);
    const tls = await startGateways(bench, { name: 'gateway, TLS', upstream, server: { tls: makeCertificate(bench.dir) } });
    const plain = await startGateways(bench, { name: 'gateway, plain', upstream, server: { engine: 'node' } });
    const plan = echoCall('echo', 'text');
    await closedLoop(
      bench,
      [...tls, ...plain].map((target) => ({ target, plan })),
    );
  },
};
