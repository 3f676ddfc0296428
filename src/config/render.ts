import { stringify as tomlText } from 'smol-toml';
import { stringify as yamlText } from 'yaml';
import type { EffectiveConfig } from './effective.ts';
import type { ConfigFormat } from './parse.ts';

/** The effective configuration as text that reads like a configuration file. `config show` prints it. */
export function renderConfig(effective: EffectiveConfig, format: ConfigFormat): string {
  switch (format) {
    case 'toml':
      return `${tomlText(effective).trimEnd()}\n`;
    case 'yaml':
      return yamlText(effective, { lineWidth: 0 });
    case 'json':
      return `${JSON.stringify(effective, null, 2)}\n`;
  }
}
