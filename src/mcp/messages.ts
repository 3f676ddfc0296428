/** A JSON-RPC response; `idToken` and `resultJson` are JSON texts and go in as they are. */
export function rpcResult(idToken: string, resultJson: string): string {
  return `{"jsonrpc":"2.0","id":${idToken},"result":${resultJson}}`;
}

/** A JSON-RPC error response; `idToken` and `dataJson` are JSON texts, `message` is plain. */
export function rpcError(idToken: string, code: number, message: string, dataJson: string | null): string {
  const data = dataJson === null ? '' : `,"data":${dataJson}`;
  return `{"jsonrpc":"2.0","id":${idToken},"error":{"code":${code},"message":${JSON.stringify(message)}${data}}}`;
}
