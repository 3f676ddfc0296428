import { mkdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { keyEntry, makeKey, startGateway, tempDir, type Gateway } from './harness.ts';
import { filesystem } from './peer-servers.ts';
import { CLIENTS, connectV1, type Peer, type Target } from './peers.ts';

const [reader, writer] = [makeKey(), makeKey()];
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const wide = { rate_limit: 10_000, burst: 10_000 };

let folder: string;
let gateway: Gateway;
let direct: Target;

beforeAll(async () => {
  folder = await realpath(await tempDir());
  await mkdir(join(folder, 'sub', 'Ünïcode 😀'), { recursive: true });
  await writeFile(join(folder, 'hello.txt'), 'Grüße 😀\r\n\u2028"quoted" \\ \u0001\n');
  await writeFile(join(folder, 'pixel.png'), Buffer.from(PIXEL, 'base64'));
  await writeFile(join(folder, 'large.txt'), 'line of text\n'.repeat(300_000));
  await writeFile(join(folder, 'sub', 'Ünïcode 😀', 'deep.json'), '{"id":1,"method":"tools/call"}');
  await symlink('/etc/hostname', join(folder, 'escape'));
  direct = filesystem(folder);
  gateway = await startGateway({
    config: {
      auth: {
        api_keys: [
          keyEntry('reader', reader, { ...wide, allowed_tools: ['files:read_*', 'files:list_*', 'files:*_tree', 'files:*_info'] }),
          keyEntry('writer', writer, { ...wide, denied_tools: ['move_*'] }),
        ],
      },
      upstream: { servers: [{ name: 'files', path_prefix: '/fs', ...filesystem(folder) }] },
    },
  });
});

function via(key: { key: string }, path = 'files'): Target {
  return { url: `${gateway.mcp}/${path}`, key: key.key };
}

async function survey(peer: Peer): Promise<unknown> {
  const at = (path: string): { path: string } => ({ path: join(folder, path) });
  const calls = [
    { name: 'read_text_file', arguments: at('hello.txt') },
    { name: 'read_text_file', arguments: { ...at('large.txt'), head: 3 } },
    { name: 'read_text_file', arguments: at('large.txt') },
    { name: 'read_media_file', arguments: at('pixel.png') },
    { name: 'read_multiple_files', arguments: { paths: [at('hello.txt').path, at('none').path] } },
    { name: 'list_directory', arguments: at('') },
    { name: 'directory_tree', arguments: at('') },
    { name: 'get_file_info', arguments: at('large.txt') },
    { name: 'read_text_file', arguments: at('no such file') },
    { name: 'read_text_file', arguments: at('escape') },
    { name: 'read_text_file', arguments: { path: '/etc/passwd' } },
    { name: 'read_text_file', arguments: at('../../etc/passwd') },
    { name: 'read_text_file', arguments: {} },
  ];
  const results = await Promise.all(calls.map(async (call) => await peer.callTool(call)));
  return {
    server: peer.client.getServerVersion(),
    results: JSON.parse(JSON.stringify(results).replaceAll(/accessed: [^\\]*/g, '')) as unknown,
  };
}

describe('the filesystem server', () => {
  it.each(CLIENTS)('answers %s through the gateway as it does directly', async (_name, connect) => {
    const [one, another] = [await connect(direct), await connect(via(reader))];
    expect(await survey(another)).toEqual(await survey(one));
    expect(another.errors).toEqual([]);
  });

  it('shows the picture and the text as they are on disk', async () => {
    const peer = await connectV1(via(reader, 'fs'));
    const picture = await peer.callTool({ name: 'read_media_file', arguments: { path: join(folder, 'pixel.png') } });
    expect(picture['content']).toEqual([{ type: 'image', data: PIXEL, mimeType: 'image/png' }]);
    const text = await peer.callTool({ name: 'read_text_file', arguments: { path: join(folder, 'hello.txt') } });
    expect(text['content']).toEqual([{ type: 'text', text: await readFile(join(folder, 'hello.txt'), 'utf8') }]);
  });

  it.each(CLIENTS)('cannot be made to write by %s with the key of a reader', async (_name, connect) => {
    const peer = await connect(via(reader));
    const path = join(folder, 'written.txt');
    for (const [name, args] of [
      ['write_file', { path, content: 'x' }],
      ['create_directory', { path }],
      ['move_file', { source: join(folder, 'hello.txt'), destination: path }],
      ['edit_file', { path: join(folder, 'hello.txt'), edits: [{ oldText: 'quoted', newText: 'x' }] }],
    ] as const) {
      await expect(peer.callTool({ name, arguments: args }), name).rejects.toThrow(/-31403/);
    }
    const { tools } = await peer.client.listTools();
    expect(tools.map(({ name }) => name).toSorted()).toEqual(
      'directory_tree get_file_info list_allowed_directories list_directory list_directory_with_sizes read_file read_media_file read_multiple_files read_text_file'.split(
        ' ',
      ),
    );
    await expect(readFile(path)).rejects.toThrow('ENOENT');
    expect(await readFile(join(folder, 'hello.txt'), 'utf8')).toContain('"quoted"');
  });

  it('lets a writer write what it may, at the same time as others read', async () => {
    const [one, another] = [await connectV1(via(writer)), await connectV1(via(reader))];
    const path = join(folder, 'sub', 'new.txt');
    const content = 'ä\u2028\n'.repeat(100_000);
    const reading = Promise.all(
      Array.from({ length: 10 }, async () => await another.callTool({ name: 'list_directory', arguments: { path: folder } })),
    );
    expect(await one.callTool({ name: 'write_file', arguments: { path, content } })).not.toHaveProperty('isError', true);
    expect(await readFile(path, 'utf8')).toBe(content);
    expect(new Set((await reading).map((result) => JSON.stringify(result['content']))).size).toBe(1);
    await expect(one.callTool({ name: 'move_file', arguments: { source: path, destination: `${path}.2` } })).rejects.toThrow(/-31403/);
    await expect(readFile(`${path}.2`)).rejects.toThrow('ENOENT');
  });
});
