import { describe, expect, it } from 'vitest';
import { ProtectedResource } from '../../src/auth/resource-metadata.ts';
import { headOf } from './head.ts';

const settings = {
  resource: 'https://gw.example/public/mcp/',
  authorizationServers: ['https://idp.example'],
  scopesSupported: ['tools', 'offline_access'],
};

describe('ProtectedResource', () => {
  it('is derived from the request where nothing is configured', () => {
    const metadata = (path: string): unknown => JSON.parse(new ProtectedResource(null).metadata(headOf(), path));
    expect(metadata('/mcp')).toEqual({ resource: 'http://127.0.0.1:3000/mcp', bearer_methods_supported: ['header'] });
    expect(metadata('/mcp/fs/')).toEqual({ resource: 'http://127.0.0.1:3000/mcp/fs', bearer_methods_supported: ['header'] });
    expect(metadata('')).toEqual({ resource: 'http://127.0.0.1:3000', bearer_methods_supported: ['header'] });
  });

  it('holds what is configured, without a trailing slash and without offline_access', () => {
    expect(JSON.parse(new ProtectedResource(settings).metadata(headOf({ host: 'evil.example' }), '/mcp'))).toEqual({
      resource: 'https://gw.example/public/mcp',
      authorization_servers: ['https://idp.example'],
      scopes_supported: ['tools'],
      bearer_methods_supported: ['header'],
    });
  });

  it('has a document for each path below the configured one, and no other', () => {
    const resource = new ProtectedResource(settings);
    const resourceAt = (path: string): unknown => JSON.parse(resource.metadata(headOf(), path)).resource;
    expect(resourceAt('/public/mcp/fs')).toBe('https://gw.example/public/mcp/fs');
    expect(resourceAt('/public/mcpfs')).toBe('https://gw.example/public/mcp');
    expect(resourceAt('/mcp/fs')).toBe('https://gw.example/public/mcp');
  });

  it('is found where the challenge says', () => {
    expect(new ProtectedResource(settings).metadataUrl(headOf(), '/public/mcp/fs')).toBe(
      'https://gw.example/.well-known/oauth-protected-resource/public/mcp/fs',
    );
    expect(new ProtectedResource({ ...settings, resource: 'https://gw.example' }).metadataUrl(headOf(), '')).toBe(
      'https://gw.example/.well-known/oauth-protected-resource',
    );
  });
});
