import { describe, expect, it } from 'vitest';
import { namesIn, SCHEMA, settableKeys, variableOf } from '../../src/config/schema.ts';
import type { Field, Fields } from '../../src/config/schema-types.ts';

/** Every key that the specification names; `[]` marks lists. */
const SPECIFIED = `
server.{host,port,engine,profile,workers,max_request_size,allowed_hosts,allowed_origins,trusted_proxies,drain_timeout_secs,drain_delay_secs,idle_timeout_secs}
server.{max_connections,max_connections_per_ip,max_json_depth,max_json_keys,strict_accept,advertise_address,peer_listen,peer_secret}
server.cors.{enabled,allowed_origins,allowed_methods,allowed_headers,max_age}
server.tls.{cert_path,key_path,client_ca_path,min_version}
server.admin.{host,port,tokens}
session.{idle_ttl_secs,max_per_principal,seal_keys}
auth.{allow_anonymous,default_tools,x_api_key_header}
auth.api_keys.{id,key_hash,allowed_tools,denied_tools,servers,rate_limit,burst,expires_at,roles}
auth.jwt.{mode,secret,jwks_url,issuer,audience,algorithms,cache_duration_secs,leeway_secs,user_id_claim,scopes_claim,roles_claim,rate_limit_claim,scope_tool_mapping}
auth.oauth.{provider,client_id,client_secret,authorization_url,token_url,userinfo_url,introspection_url,issuer,redirect_uri,allowed_redirects,scopes,user_id_claim,scope_tool_mapping,token_cache_ttl_secs}
auth.mtls.{enabled,identity_source,trusted_proxy_ips,header_preset,allowed_tools,rate_limit}
auth.resource_metadata.{resource,authorization_servers,scopes_supported}
rate_limit.{enabled,requests_per_second,burst_size,tool_limits,method_limits,ip,fail_mode,per_tool_default,count_denied,max_in_flight,max_identities,idle_ttl_secs}
rate_limit.tool_limits.{tool_pattern,requests_per_second,burst_size,cost,fail_mode}
rate_limit.method_limits.{method,requests_per_second,burst_size,fail_mode}
rate_limit.ip.{requests_per_second,burst_size,fail_mode}
redis.{url,url_file,prefix,tls,ca_path,tls_verify,max_hosts}
policy.{tools,resources,prompts,methods}.{allow,deny}
policy.prompts.{deny_regex,max_length}
policy.{arguments,mode}
audit.{enabled,stdout,file,durability,export_url,export_format,export_batch_size,export_interval_secs,export_headers,export_headers_file,redaction_rules,rotation,chain}
tracing.{enabled,service_name,otlp_endpoint,protocol,sample_rate,propagate_context}
logging.{level,format}
upstream.{transport,command,args,env,cwd,url,headers}
upstream.servers.{name,path_prefix,strip_prefix,transport,command,args,env,cwd,url,headers,allow_private_networks,timeout_secs,timeout_max_secs,max_concurrency,required,isolation,tool_cache_ttl_secs}
upstream.servers.pool.{min,max,child_calls,queue_secs,idle_secs,recycle_calls,recycle_mb}
upstream.servers.breaker
upstream.aggregate.{enabled,path,separator}
auth.jwt.secret_file
auth.oauth.client_secret_file
server.peer_secret_file
`;

function expand(line: string): readonly string[] {
  const match = /^(.*?)\{([^}]*)\}(.*)$/.exec(line);
  return match === null ? [line] : (match[2] ?? '').split(',').flatMap((name) => expand(`${match[1]}${name}${match[3]}`));
}

function exists(path: string): boolean {
  let fields: Fields = SCHEMA.fields;
  const keys = path.split('.');
  for (const [index, key] of keys.entries()) {
    if (!namesIn(fields).includes(key)) return false;
    const field: Field | undefined = fields[key];
    if (index < keys.length - 1) fields = field !== undefined && 'fields' in field ? field.fields : {};
  }
  return true;
}

function* everyField(fields: Fields, path = ''): Generator<readonly [string, Field]> {
  for (const [name, field] of Object.entries(fields)) {
    yield [`${path}${name}`, field];
    if ('fields' in field) yield* everyField(field.fields, `${path}${name}.`);
  }
}

describe('the schema table', () => {
  it('knows every key of the specification, those of later features included', () => {
    const paths = SPECIFIED.trim().split('\n').flatMap(expand);
    expect(paths.length).toBeGreaterThan(150);
    expect(paths.filter((path) => !exists(path))).toEqual([]);
  });

  it('gives every scalar outside lists a variable of its own', () => {
    const variables = settableKeys().map((key) => key.variable);
    expect(new Set(variables).size).toBe(variables.length);
    expect(variables).toEqual(
      expect.arrayContaining([
        'MCP_GUARD_SERVER_PORT',
        'MCP_GUARD_RATE_LIMIT_REQUESTS_PER_SECOND',
        'MCP_GUARD_UPSTREAM_COMMAND',
        'MCP_GUARD_SERVER_PEER_SECRET_FILE',
        'MCP_GUARD_AUTH_JWT_SECRET',
      ]),
    );
    expect(variables).not.toContain('MCP_GUARD_CONFIG');
    expect(variableOf(['server', 'tls', 'cert_path'])).toBe('MCP_GUARD_SERVER_TLS_CERT_PATH');
  });

  it('has defaults that pass its own checks', () => {
    for (const [path, field] of everyField(SCHEMA.fields)) {
      if (field.kind === 'number' || field.kind === 'integer') {
        for (const value of [field.default, field.hardened ?? null]) {
          if (value !== null) expect({ path, isWithin: value >= field.min && value <= field.max }).toEqual({ path, isWithin: true });
        }
      }
      if (field.kind === 'choice' && field.default !== null) expect(field.choices).toContain(field.default);
      if (field.kind === 'text' && field.default !== null)
        expect({ path, fault: field.check?.(field.default) ?? null }).toEqual({ path, fault: null });
    }
  });

  it('describes every key in a sentence', () => {
    for (const [path, field] of everyField(SCHEMA.fields))
      expect({ path, isSentence: /\S.*[.)]$/.test(field.description) }).toEqual({ path, isSentence: true });
  });

  it('leaves no key of a file twin without its secret', () => {
    for (const [path, field] of everyField(SCHEMA.fields)) {
      const looksSecret = /(?:secret|key_hash|tokens|seal_keys)$/.test(path) || /(?:^|\.)(?:env|headers|export_headers)$/.test(path);
      if (looksSecret) expect({ path, field }).toMatchObject({ path, field: { sensitivity: 'secret' } });
    }
  });
});
