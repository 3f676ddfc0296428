import type { Gateway } from './gateway.ts';
import { http, rpc, rpcRequest } from './http.ts';
import { waitUntil } from './wait.ts';

export type AuditLine = Readonly<Record<string, unknown>>;

/**
 * The audit records of one request, by the `X-Request-ID` it was sent with: all of them, because one
 * more request of the same worker is awaited in the file, and the records of a worker keep their order.
 * @param key a credential that `url` serves, for that other request
 */
export async function recordsOf(
  gateway: Gateway,
  requestId: string,
  key: string,
  url: string = gateway.mcp,
): Promise<readonly AuditLine[]> {
  const marker = `marker-${requestId}`.slice(0, 128);
  await rpc(url, rpcRequest('ping'), { key, headers: { 'x-request-id': marker } });
  const lines = await waitUntil(
    async () => {
      const all = await gateway.auditLines();
      return all.some((line) => line['request_id'] === marker) && all;
    },
    { what: `the audit record of ${marker}`, describe: () => gateway.stderr() },
  );
  return (lines as readonly AuditLine[]).filter((line) => line['request_id'] === requestId);
}

/** The value of one series of the exposition text, 0 when it is not there: `name{label="value"}`. */
export function seriesValue(text: string, series: string): number {
  const line = text.split('\n').find((one) => one.startsWith(`${series} `));
  return line === undefined ? 0 : Number(line.slice(series.length + 1));
}

/** Reads one series from `/metrics` of the admin listener, or of the main one with an admin credential. */
export async function scrape(gateway: Gateway, series: string, adminKey?: string): Promise<number> {
  const options = adminKey === undefined ? {} : { key: adminKey };
  return seriesValue((await http('GET', `${gateway.adminUrl ?? gateway.url}/metrics`, options)).body, series);
}
