import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeSseEvent, SseDecoder } from '../../src/mcp/sse.ts';
import { growthOf, LINEAR_GROWTH } from './json-texts.ts';

interface Seen {
  readonly data: string;
  readonly event: string;
  readonly id: string;
}

function decode(chunks: readonly Uint8Array[], maxEventBytes: number = 1 << 20): { events: Seen[]; isWithin: boolean; retryMs: number } {
  const events: Seen[] = [];
  const decoder = new SseDecoder({
    maxEventBytes,
    onEvent: ({ data, event, id }) => events.push({ data: data.toString(), event, id }),
  });
  let isWithin = true;
  for (const chunk of chunks) isWithin = decoder.push(chunk);
  return { events, isWithin, retryMs: decoder.retryMs };
}

function dataOf(text: string): string[] {
  return decode([Buffer.from(text)]).events.map(({ data }) => data);
}

/** The grammar's own words, on a whole text at once. */
function reference(text: string): Seen[] {
  const events: Seen[] = [];
  const lines = text.replace(/^\ufeff/, '').split(/\r\n|\n|\r/);
  lines.pop();
  let [data, event, id] = ['', '', ''];
  for (const line of lines) {
    if (line === '') {
      if (data !== '') events.push({ data: data.slice(0, -1), event, id });
      [data, event] = ['', ''];
      continue;
    }
    const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/su.exec(line) as RegExpExecArray;
    if (name === 'data') data += `${value}\n`;
    if (name === 'event') event = value;
    if (name === 'id' && !value.includes('\u0000')) id = value;
  }
  return events;
}

const streams = fc
  .array(
    fc.constantFrom(
      'data',
      'data:',
      'data: ',
      'event:',
      'id: ',
      'retry: 10',
      ': x',
      'Data:',
      'a',
      'é😀',
      ':',
      ' ',
      '\ufeff',
      '\u0000',
      '\n',
      '\n',
      '\n\n',
      '\r',
      '\r\n',
      '\r\n\r\n',
    ),
    {
      maxLength: 40,
    },
  )
  .map((parts) => parts.join(''));

function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const points = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...points].map((from, i) => bytes.subarray(from, points[i] ?? bytes.length));
}

describe('SseDecoder', () => {
  it('reads any stream as the grammar says, wherever the chunks are cut', () => {
    fc.assert(
      fc.property(streams, fc.array(fc.nat(), { maxLength: 8 }), (text, cuts) => {
        const bytes = Buffer.from(text);
        // A CR at the very end may be half of a CRLF, but ends its line all the same.
        expect(decode(cutAt(bytes, cuts)).events).toEqual(reference(text));
      }),
      { numRuns: 3000 },
    );
  });

  it('reads byte by byte what it reads at once', () => {
    fc.assert(
      fc.property(streams, (text) => {
        const bytes = Buffer.from(text);
        expect(decode(Array.from(bytes, (byte) => Uint8Array.of(byte))).events).toEqual(decode([bytes]).events);
      }),
    );
  });

  it('joins data lines by LF, strips one space, and ignores comments and unknown fields', () => {
    expect(dataOf('data: a\ndata:  b\n: comment\nfoo: bar\ndata\ndata:c\n\n')).toEqual(['a\n b\n\nc']);
  });

  it('keeps the last id over events, refuses one with NUL, and forgets the event name', () => {
    const { events } = decode([Buffer.from('id: 1\nevent: message\ndata: a\n\ndata: b\n\nid: x\u0000y\ndata: c\n\nid\ndata: d\n\n')]);
    expect(events).toEqual([
      { data: 'a', event: 'message', id: '1' },
      { data: 'b', event: '', id: '1' },
      { data: 'c', event: '', id: '1' },
      { data: 'd', event: '', id: '' },
    ]);
  });

  it('skips a byte order mark at the start only, also one byte at a time', () => {
    const bytes = Buffer.from('\ufeffdata: a\n\n\ufeffdata: b\n\n');
    expect(decode([bytes]).events.map(({ data }) => data)).toEqual(['a']);
    expect(decode(Array.from(bytes, (byte) => Uint8Array.of(byte))).events).toHaveLength(1);
  });

  it('delivers no event that is incomplete or has no data', () => {
    expect(dataOf('id: 7\n\nevent: x\n\ndata: cut')).toEqual([]);
    expect(dataOf('data: cut\n')).toEqual([]);
    expect(dataOf('data:\n\n')).toEqual(['']);
  });

  it('remembers the retry time and ignores one that is no number', () => {
    expect(decode([Buffer.from('retry: 1500\nretry: soon\nretry: -1\n\n')]).retryMs).toBe(1500);
  });

  it('stops at an event beyond the limit, however it is made up', () => {
    const limit = 100;
    for (const text of [
      `data: ${'x'.repeat(200)}`,
      'data: 123456789\n'.repeat(20),
      'data\n'.repeat(200),
      `: ${'x'.repeat(200)}`,
      'x'.repeat(200),
    ]) {
      expect(decode([Buffer.from(text)], limit).isWithin).toBe(false);
      expect(
        decode(
          Array.from(Buffer.from(text), (byte) => Uint8Array.of(byte)),
          limit,
        ).isWithin,
      ).toBe(false);
      expect(decode([Buffer.from(text), Buffer.from('\n\ndata: later\n\n')], limit).events).toEqual([]);
    }
  });

  it('has no limit for the whole stream: heartbeats and small events go on for ever', () => {
    const { events, isWithin } = decode([Buffer.from(': ping\n\ndata: 0123456789\n\n'.repeat(1000))], 30);
    expect(events).toHaveLength(1000);
    expect(isWithin).toBe(true);
  });

  it('does not keep the chunk: the receiver owns the data', () => {
    const chunk = Buffer.from('data: abc\n\n');
    const received: Buffer[] = [];
    new SseDecoder({ maxEventBytes: 100, onEvent: ({ data }) => received.push(data) }).push(chunk);
    chunk.fill(0);
    expect(received.map(String)).toEqual(['abc']);
  });

  it('takes time in proportion to the bytes when a line comes in small pieces', () => {
    const feed = (count: number) => () => {
      const decoder = new SseDecoder({ maxEventBytes: 1 << 30, onEvent: () => undefined });
      const piece = Buffer.alloc(16, 'x');
      decoder.push(Buffer.from('data: '));
      for (let i = 0; i < count; i++) decoder.push(piece);
      decoder.push(Buffer.from('\n\n'));
    };
    expect(growthOf(feed, 5000)).toBeLessThan(LINEAR_GROWTH);
  });
});

describe('encodeSseEvent', () => {
  it('writes one event named message', () => {
    expect(encodeSseEvent(Buffer.from('{"a":1}')).toString()).toBe('event: message\ndata: {"a":1}\n\n');
  });

  it('carries any JSON text, with line breaks of every kind between tokens, as one event with the same meaning', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom('\n', '\r', '\r\n', '\n\n', ' \r\n\t'), (value, lineBreak) => {
        const json = lineBreak + JSON.stringify(value, null, 1).replaceAll('\n', () => lineBreak) + lineBreak;
        const { events } = decode([encodeSseEvent(Buffer.from(json))]);
        expect(events).toHaveLength(1);
        expect(events[0]?.event).toBe('message');
        expect(JSON.parse(events[0]?.data ?? '')).toEqual(JSON.parse(json));
      }),
    );
  });

  it('leaves no way to smuggle a field or a second event through a line break', () => {
    const hostile = Buffer.from('{"a":\n1,\r\rid: 5\n\ndata: {}\n\n}');
    const { events } = decode([encodeSseEvent(hostile)]);
    expect(events).toHaveLength(1);
    expect(events[0]?.id).toBe('');
  });

  it('makes a text of nothing but line breaks no larger', () => {
    const json = Buffer.concat([Buffer.from('{'), Buffer.alloc(1_000_000, '\r\n'), Buffer.from('}')]);
    const event = encodeSseEvent(json);
    expect(event.length).toBeLessThan(json.length + 100);
    expect(decode([event], 2 << 20).events.map(({ data }) => data.trim().length)).toEqual([json.length]);
  });
});
