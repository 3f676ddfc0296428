import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Target } from './target.ts';

/** Stands for the id of the request, ten digits, in the texts of a plan. */
export const ID = '{id}';

/** One kind of request, and what makes an answer to it right. */
export interface RequestPlan {
  /** JSON, with the id of the request in place of `{id}`. */
  readonly body: string;
  readonly status: number;
  /** Every answer holds each of these, with the same id in place of `{id}`. */
  readonly wants: readonly string[];
  /** Exact size of an answer's body; null: not checked. */
  readonly answerBytes: number | null;
}

/** The texts of a plan around the id, for generators that put them together for each request. */
export function pieces(text: string): string[] {
  return text.split(ID);
}

/** The fixed head of a request, for each caller of the target; ids always have ten digits, so the length is known. */
export function headsOf(target: Target, plan: RequestPlan): string[] {
  const { host, pathname } = new URL(target.url);
  const bytes = Buffer.byteLength(plan.body.replaceAll(ID, '0123456789'));
  const fixed = [
    `POST ${pathname} HTTP/1.1`,
    `Host: ${host}`,
    'Content-Type: application/json',
    'Accept: application/json, text/event-stream',
    `Content-Length: ${bytes}`,
  ];
  return target.callers.map((headers) => `${[...fixed, ...headers].join('\r\n')}\r\n\r\n`);
}

/** `tools/call` of a tool that returns its text, padded to about `textBytes`. */
export function echoCall(tool: string, argument: string, textBytes = 0): RequestPlan {
  const text = textBytes === 0 ? `nonce-${ID}` : `nonce-${ID}${'-'.repeat(textBytes - 20)}!end`;
  const body = `{"jsonrpc":"2.0","id":${ID},"method":"tools/call","params":{"name":"${tool}","arguments":{"${argument}":"${text}"}}}`;
  const answer = `{"jsonrpc":"2.0","id":${ID},"result":{"content":[{"type":"text","text":"${text}"}]}}`;
  if (textBytes === 0) return { body, status: 200, wants: [answer], answerBytes: null };
  // Comparing every byte would cost the generator more than the request costs the gateway; the end begins with a rare byte.
  const wants = [answer.slice(0, 200), answer.slice(answer.lastIndexOf('!end'))];
  return { body, status: 200, wants, answerBytes: Buffer.byteLength(answer.replaceAll(ID, '0123456789')) };
}

/** The same, for programs that put an answer together anew and in an order of their own. */
export function looseEchoCall(tool: string, argument: string): RequestPlan {
  return { ...echoCall(tool, argument), wants: [`"id":${ID}`, `"text":"nonce-${ID}"`] };
}

/** Writes the plan as the Lua file that `fixtures/verify.lua` reads. */
export async function writeLuaPlan(dir: string, target: Target, plan: RequestPlan): Promise<string> {
  const path = join(dir, `plan-${target.name.replaceAll(/[^\w-]/g, '_')}.lua`);
  await writeFile(path, `return {heads=${luaList(headsOf(target, plan))},${luaPlan(plan)}}\n`, { mode: 0o600 });
  return path;
}

/** The fields of a plan in a Lua table: `body` and each of `wants` in pieces around the id. */
export function luaPlan({ body, status, wants, answerBytes }: RequestPlan): string {
  const lists = wants.map((want) => luaList(pieces(want))).join(',');
  return `body=${luaList(pieces(body))},status=${status},wants={${lists}},bytes=${answerBytes ?? 'nil'}`;
}

export function luaList(texts: readonly string[]): string {
  return `{${texts.map(luaText).join(',')}}`;
}

export function luaText(text: string): string {
  return `"${text.replaceAll(/[^ -!#-[\]-~]/g, (byte) => `\\${String(byte.charCodeAt(0)).padStart(3, '0')}`)}"`;
}
