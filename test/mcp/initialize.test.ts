import { describe, expect, it } from 'vitest';
import type { UpstreamInfo } from '../../src/core/upstream.ts';
import { initializeResult } from '../../src/mcp/initialize.ts';

const INFO: UpstreamInfo = {
  protocolVersion: '2024-11-05',
  name: 'files',
  version: '1',
  serverInfo: '{"name":"files","version":"1","title":"Files \\u00e9"}',
  capabilities: new Set(['logging', 'prompts', 'tools', 'experimental', 'tasks']),
  capabilitiesJson: '{"logging":{},"prompts":{"listChanged":true},"tools":{},"experimental":{},"tasks":{}}',
  instructions: 'Say "please"\n',
};

describe('initializeResult', () => {
  it('shows the upstream, reduced to capabilities that are relayed, without their options', () => {
    expect(JSON.parse(initializeResult(INFO, '2025-06-18', '"a"'))).toEqual({
      jsonrpc: '2.0',
      id: 'a',
      result: {
        protocolVersion: '2025-06-18',
        capabilities: { tools: {}, prompts: {} },
        serverInfo: { name: 'files', version: '1', title: 'Files é' },
        instructions: 'Say "please"\n',
      },
    });
  });

  it('offers the latest revision to a client that asks for an unknown one, whatever the upstream speaks', () => {
    expect(JSON.parse(initializeResult(INFO, '1999-01-01', '1'))).toMatchObject({ result: { protocolVersion: '2025-11-25' } });
  });

  it('leaves instructions out when there are none, and declares nothing for a bare server', () => {
    const bare = JSON.parse(initializeResult({ ...INFO, capabilities: new Set(), instructions: null }, null, '0')) as {
      id: number;
      result: object;
    };
    expect(bare.id).toBe(0);
    expect(bare.result).toMatchObject({ capabilities: {} });
    expect(bare.result).not.toHaveProperty('instructions');
  });
});
