import { INVALID_PARAMS, RESOURCE_NOT_FOUND, RpcError, objectMember, stringMember, type JsonObject } from './protocol.ts';

const ABOUT_URI = 'demo://about';
const ABOUT = 'The demo server of mcp-guard: six tools, this resource and one prompt. It opens no connection and writes no file.\n';

const RESOURCE: JsonObject = { uri: ABOUT_URI, name: 'about', title: 'About this server', mimeType: 'text/plain' };

const PROMPT: JsonObject = {
  name: 'summarize_file',
  title: 'Summarize a sample file',
  description: 'Asks for a summary of one of the bundled sample files.',
  arguments: [{ name: 'path', description: 'Path relative to the sample folder', required: true }],
};

export function listResources(): JsonObject {
  return { resources: [RESOURCE] };
}

export function readResource(params: JsonObject): JsonObject {
  if (stringMember(params, 'uri') !== ABOUT_URI) throw new RpcError(RESOURCE_NOT_FOUND, 'Resource not found');
  return { contents: [{ uri: ABOUT_URI, mimeType: 'text/plain', text: ABOUT }] };
}

export function listPrompts(): JsonObject {
  return { prompts: [PROMPT] };
}

export function getPrompt(params: JsonObject): JsonObject {
  if (stringMember(params, 'name') !== PROMPT['name']) throw new RpcError(INVALID_PARAMS, 'Unknown prompt');
  const path = stringMember(objectMember(params, 'arguments'), 'path');
  const text = `Read the file ${JSON.stringify(path)} with the tool read_file and summarize it in two sentences.`;
  return { description: 'A summary of one sample file', messages: [{ role: 'user', content: { type: 'text', text } }] };
}
