import { literal, quoted } from './api-key-entry.ts';
import { escapeReferences } from './interpolate.ts';
import type { ConfigFormat } from './parse.ts';

/** What differs between two files that `init` writes. */
export interface TemplateParts {
  readonly keyId: string;
  /** In the 44 character form. */
  readonly keyHash: string;
  /** The upstream's program and its arguments, not empty. */
  readonly command: readonly string[];
}

/** The file that `mcp-guard init` writes: valid as it is, with the demo server behind it. */
export function initTemplate(format: ConfigFormat, parts: TemplateParts): string {
  switch (format) {
    case 'toml':
      return tomlTemplate(parts);
    case 'yaml':
      return yamlTemplate(parts);
    case 'json':
      return jsonTemplate(parts);
  }
}

interface Texts {
  readonly id: string;
  readonly hash: string;
  readonly command: string;
  readonly args: string;
}

/** Texts quoted for the file; what looks like a reference is escaped. */
function textsOf(parts: TemplateParts): Texts {
  const [command = '', ...args] = parts.command.map(escapeReferences);
  return { id: quoted(escapeReferences(parts.keyId)), hash: quoted(parts.keyHash), command: quoted(command), args: literal(args) };
}

function tomlTemplate(parts: TemplateParts): string {
  const { id, hash, command, args } = textsOf(parts);
  return `# mcp-guard configuration. Check it with "mcp-guard validate"; every key is described in docs/config.md.
# \${NAME} and \${NAME:-default} are replaced by environment variables; MCP_GUARD_SERVER_PORT=3001 sets server.port.

[server]
host = "127.0.0.1"
port = 3000

# The MCP server to protect. This one is bundled: replace command and args with yours.
# For a server that speaks Streamable HTTP write instead: url = "https://mcp.example/mcp"
[upstream]
command = ${command}
args = ${args}

# Requests per caller.
[rate_limit]
requests_per_second = 25
burst_size = 10

# Holds for every caller, and deny beats allow. Patterns: *, ?, [ab], [!ab], and re: for a regular expression.
[policy.tools]
deny = ["delete_file"]

# One record per call, in a file beside this one.
[audit]
file = "mcp-guard-audit.jsonl"

# A caller. Only the hash of its key is kept; "mcp-guard keygen --apply-to-config" adds more.
[[auth.api_keys]]
id = ${id}
key_hash = ${hash}
allowed_tools = ["*"]
`;
}

function yamlTemplate(parts: TemplateParts): string {
  const { id, hash, command, args } = textsOf(parts);
  return `# mcp-guard configuration. Check it with "mcp-guard validate"; every key is described in docs/config.md.
# \${NAME} and \${NAME:-default} are replaced by environment variables; MCP_GUARD_SERVER_PORT=3001 sets server.port.

server:
  host: 127.0.0.1
  port: 3000

# The MCP server to protect. This one is bundled: replace command and args with yours.
# For a server that speaks Streamable HTTP write instead: url: https://mcp.example/mcp
upstream:
  command: ${command}
  args: ${args}

# Requests per caller.
rate_limit:
  requests_per_second: 25
  burst_size: 10

# Holds for every caller, and deny beats allow. Patterns: *, ?, [ab], [!ab], and re: for a regular expression.
policy:
  tools:
    deny: ["delete_file"]

# One record per call, in a file beside this one.
audit:
  file: mcp-guard-audit.jsonl

# Callers. Only the hash of a key is kept; "mcp-guard keygen --apply-to-config" adds more.
auth:
  api_keys:
    - id: ${id}
      key_hash: ${hash}
      allowed_tools: ["*"]
`;
}

function jsonTemplate(parts: TemplateParts): string {
  const [command = '', ...args] = parts.command.map(escapeReferences);
  const config = {
    server: { host: '127.0.0.1', port: 3000 },
    upstream: { command, args },
    rate_limit: { requests_per_second: 25, burst_size: 10 },
    policy: { tools: { deny: ['delete_file'] } },
    audit: { file: 'mcp-guard-audit.jsonl' },
    auth: { api_keys: [{ id: escapeReferences(parts.keyId), key_hash: parts.keyHash, allowed_tools: ['*'] }] },
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
