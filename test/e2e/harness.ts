/**
 * Everything a black-box test needs: the built program as a child process, a real socket, real upstreams. Children,
 * servers and folders are ended with the test file; every wait is bounded and shows the child's output when it fails.
 */
export { REPOSITORY, MAIN, cleanEnv, runCli, runProgram, tempDir, type CliOptions, type CliResult } from './cli.ts';
export { startGateway, type ExitStatus, type Gateway, type GatewayOptions } from './gateway.ts';
export {
  http,
  rawExchange,
  rpc,
  rpcRequest,
  sseData,
  toolCall,
  toolText,
  type HttpAnswer,
  type JsonValue,
  type RpcOptions,
} from './http.ts';
export {
  startHttpUpstream,
  type HttpUpstream,
  type HttpUpstreamOptions,
  type UpstreamAnswer,
  type UpstreamRequest,
} from './http-upstream.ts';
export { keyEntry, makeKey, type TestKey } from './keys.ts';
export { type AuditLine, recordsOf, scrape, seriesValue } from './records.ts';
export { rpcStream, type RpcStream } from './rpc-stream.ts';
export { isAlive, readRecord, stdioUpstream, type StdioBehaviour } from './stdio-upstream.ts';
export { sleep, waitUntil, within } from './wait.ts';
export { wildUpstream, type WildBehaviour } from './wild-upstream.ts';
