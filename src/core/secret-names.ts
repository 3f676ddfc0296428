/** What stands in place of a secret, in every sink. */
export const REDACTED: string = '[redacted]';

const SECRET =
  /authorization|password|passwd|passphrase|secret|token|apikey|accesskey|privatekey|credential|cookie|sessionid|signature|bearer|jwt|^auth$|^pwd$|^pass$/;

/** Whether a field, header or variable of this name holds a secret, however it is spelt (`apiKey`, `X-API-Key`, `client_secret`). */
export function isSecretName(name: string): boolean {
  return SECRET.test(name.toLowerCase().replaceAll(/[^a-z0-9]/g, ''));
}
