import type { Clock } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { BAD_PARAMS, UPSTREAM_DOWN } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { ClientHello } from '../core/upstream-session.ts';
import type { InFlight, ListKind, ModernInfo, ReplySink, RequestOptions, Upstream, UpstreamInfo } from '../core/upstream.ts';
import { asLegacyRequest } from '../mcp/era-requests.ts';
import { readModernHello } from '../mcp/hello.ts';
import { mayAsk, readInputAnswers } from '../mcp/input-required.ts';
import { rpcResult } from '../mcp/messages.ts';
import { RELAYED_CAPABILITIES } from '../mcp/methods.ts';
import { DISCOVER, LISTEN } from '../mcp/modern-methods.ts';
import { isFailure, parseMessage } from '../mcp/parse.ts';
import { LATEST_LEGACY_REVISION, MODERN_REVISION } from '../mcp/revisions.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import { AskingCall, type AskingHost } from './asking-call.ts';
import { AskingSessions } from './asking-sessions.ts';
import { MAX_UPSTREAM_DEPTH } from './deps.ts';
import { ListenOnLegacy } from './listen-on-legacy.ts';
import { LocalReply } from './local-reply.ts';
import { ModernReply } from './modern-reply.ts';
import { ParkedCalls, type ParkedCallsDeps } from './parked-calls.ts';
import { PassingSink } from './passing-sink.ts';
import { LOG_MESSAGE } from './rewrite.ts';

const NOBODY: ClientHello = { revision: LATEST_LEGACY_REVISION, capabilities: '{}', clientInfo: '{}' };
const LIMITS = { maxDepth: 8, maxKeys: 16, maxStringBytes: 256 };

/** What asking clients takes: a seal for what they carry, and the ways to calls that wait elsewhere. */
export type AskingParts = Omit<ParkedCallsDeps, 'server'>;

/**
 * Carries requests of revision 2026-07-28 to a server that speaks older revisions only. Who declares that it can be asked something gets a session
 * for its calls, of its own; everything else goes over the connection that all clients share, which is promised no abilities. Answers get what the
 * revision demands: complete, not to be kept, and named.
 */
export class ModernOnLegacy implements AskingHost {
  readonly sessions: AskingSessions;
  readonly #legacy: Upstream;
  readonly #parked: ParkedCalls | null;
  readonly #listens = new Set<ListenOnLegacy>();
  #next = 0;
  #shown: { readonly of: UpstreamInfo; readonly info: ModernInfo } | null = null;

  /** `asking`: null where nobody is asked. */
  constructor(legacy: Upstream, clock: Clock, asking: AskingParts | null) {
    this.#legacy = legacy;
    this.sessions = new AskingSessions(clock, (hello) => (legacy.state === 'ready' ? legacy.newSession(hello) : null));
    this.#parked = asking === null ? null : new ParkedCalls({ ...asking, server: legacy.name });
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const { info } = this.#legacy;
    if (info === null) return UPSTREAM_DOWN;
    const idToken = message.bytes.toString('utf8', message.idStart, message.idEnd);
    if (message.method === DISCOVER) return new LocalReply(sink, rpcResult(idToken, discoverResult(info, this.#hasSessions)));
    if (message.method === LISTEN) return this.#listen(message, options, sink, info);
    return mayAsk(message.method) ? this.#call(message, options, sink, info) : this.#share(message, options, sink, info);
  }

  /** What the server is shown as; null before it was reached. The same as long as that says the same of itself. */
  get info(): ModernInfo | null {
    const { info } = this.#legacy;
    if (info === null) return null;
    if (this.#shown?.of !== info) this.#shown = { of: info, info: shownAs(info, this.#hasSessions) };
    return this.#shown.info;
  }

  /** The connection that all share says so; null: any list. */
  listChanged(kind: ListKind | null): void {
    for (const listen of this.#listens) listen.changed(kind);
  }

  close(): void {
    this.#parked?.close();
    this.sessions.close();
  }

  // AskingHost

  park(call: AskingCall): string | null {
    return this.#parked?.park(call) ?? null;
  }

  unpark(call: AskingCall): void {
    this.#parked?.unpark(call);
  }

  serverInfo(): string {
    return this.#legacy.info?.serverInfo ?? '{}';
  }

  /** Over HTTP nothing is heard on the connection that all share, as nobody may be listening to it. */
  #listen(message: Envelope, options: RequestOptions, sink: ReplySink, info: UpstreamInfo): InFlight | Refusal {
    const host = {
      sessions: this.sessions,
      hearsShared: this.#legacy.transport !== 'http',
      info,
      over: (listen: ListenOnLegacy) => void this.#listens.delete(listen),
    };
    const listen = new ListenOnLegacy(host, message, options, sink);
    const flight = listen.begin(message);
    if (!isRefusal(flight)) this.#listens.add(listen);
    return flight;
  }

  /** Whether it has any of its own for a client, as far as is known. */
  get #hasSessions(): boolean {
    return this.#legacy.newSession(NOBODY) !== null;
  }

  /** A call in the middle of which the client may be asked something. */
  #call(message: Envelope, options: RequestOptions, sink: ReplySink, info: UpstreamInfo): InFlight | Refusal {
    if (this.#parked === null) return this.#share(message, options, sink, info);
    const brought = readInputAnswers(message);
    if (brought !== null) return brought.state === null ? BAD_PARAMS : this.#parked.resume(brought.state, message, options, sink);
    const hello = readModernHello(message);
    if (hello === null || hello.capabilities === '{}') return this.#share(message, options, sink, info);
    const shared = (client: ReplySink): InFlight | Refusal => this.#share(message, options, client, info);
    return new AskingCall(this, message, options, hello, this.#nextId(), shared).begin(message, sink);
  }

  #share(message: Envelope, options: RequestOptions, sink: ReplySink, info: UpstreamInfo): InFlight | Refusal {
    const ownId = this.#nextId();
    const legacy = asLegacyRequest(message, ownId);
    if (legacy === null) return BAD_PARAMS;
    return this.#send(legacy, ownId, options, new ModernSink(sink, message, info.serverInfo));
  }

  #nextId(): string {
    return `"modern-${(this.#next += 1)}"`;
  }

  #send(message: Envelope, ownId: string, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const { modern: _modern, ...older } = options;
    const flight = this.#legacy.request(message, older, sink);
    if (isRefusal(flight)) return flight;
    return {
      detach: (whenOver) => {
        flight.detach(() => undefined);
        this.#cancel(ownId, older);
        whenOver();
      },
      resume: () => flight.resume(),
    };
  }

  /** A client of the revision that leaves cancels; a server of the older ones has to be told so. */
  #cancel(ownId: string, options: RequestOptions): void {
    const text = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${ownId},"reason":"the client left"}}`;
    const message = parseMessage(Buffer.from(text), LIMITS);
    if (!isFailure(message)) this.#legacy.notify(message, options);
  }
}

class ModernSink extends PassingSink {
  readonly #reply: ModernReply;
  readonly #serverInfo: string;
  readonly #wantsLogs: boolean;

  constructor(sink: ReplySink, message: Envelope, serverInfo: string) {
    super(sink);
    this.#reply = new ModernReply(message);
    this.#serverInfo = serverInfo;
    this.#wantsLogs = (message.modern?.logLevelStart ?? -1) >= 0;
  }

  /** Who did not ask for log messages gets none. */
  override onMessage(bytes: Buffer): boolean {
    const isLog = !this.#wantsLogs && scanUpstreamMessage(bytes, { maxDepth: MAX_UPSTREAM_DEPTH })?.method === LOG_MESSAGE;
    return isLog || this.sink.onMessage(bytes);
  }

  override onReply(bytes: Buffer, isError: boolean, code: number): void {
    this.#reply.deliver(this.sink, bytes, isError, code, this.#serverInfo);
  }
}

function shownAs(info: UpstreamInfo, hasSessions: boolean): ModernInfo {
  const legacy = { ...info, capabilitiesJson: JSON.stringify(capabilitiesOf(info, hasSessions)) };
  return { discover: discoverResult(info, hasSessions), hasTasks: false, life: '', legacy };
}

/** Options that a client can make use of: what it can be told of. */
function capabilitiesOf(info: UpstreamInfo, hasSessions: boolean): object {
  const declared = JSON.parse(info.capabilitiesJson) as Readonly<Record<string, Readonly<Record<string, unknown>> | null>>;
  const names = RELAYED_CAPABILITIES.filter((name) => info.capabilities.has(name));
  const options = hasSessions ? ['listChanged', 'subscribe'] : ['listChanged'];
  const optionsOf = (name: string): [string, true][] =>
    options.filter((option) => declared[name]?.[option] === true).map((option) => [option, true]);
  return Object.fromEntries(names.map((name) => [name, Object.fromEntries(optionsOf(name))]));
}

function discoverResult(info: UpstreamInfo, hasSessions: boolean): string {
  const capabilities = capabilitiesOf(info, hasSessions);
  const head = JSON.stringify({ resultType: 'complete', supportedVersions: [MODERN_REVISION], capabilities }).slice(1, -1);
  const instructions = info.instructions === null ? '' : `,"instructions":${JSON.stringify(info.instructions)}`;
  return `{${head}${instructions},"ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":${info.serverInfo}}}`;
}
