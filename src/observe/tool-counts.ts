import { Cell, type Collected, type ExposedMetric, OTHER } from './families.ts';

/** Tools that get a series of their own per server. */
const MAX_TOOLS = 200;
const MAX_SERVERS = 1000;
/** Names as MCP recommends them (1–128 characters, no spaces); others are counted under `other`. */
const SHOWN = /^[\x21-\x7e]{1,128}$/;

interface ServerCounts {
  readonly tools: Map<string, Cell>;
  readonly other: Cell;
}

/**
 * `mcp_guard_tool_calls_total`. A tool gets its series with the first call that was answered without an error (servers answer
 * unknown tools with one, in either way): names that callers invent cannot take the places of those that exist.
 */
export class ToolCounts implements Collected {
  readonly name: string = 'mcp_guard_tool_calls_total';
  readonly #servers = new Map<string, ServerCounts>();

  /** @param isShowable asked once, before a name becomes a label: a credential sent as a tool name must not */
  count(server: string, tool: string, isAnswered: boolean, isShowable: (tool: string) => boolean): void {
    this.#cell(this.#server(server), tool, isAnswered, isShowable).value += 1;
  }

  get(): ExposedMetric {
    const values = Array.from(this.#servers, ([server, { tools, other }]) => {
      const known = Array.from(tools, ([tool, cell]) => ({ labels: { server, tool }, value: cell.value }));
      return other.value === 0 ? known : [...known, { labels: { server, tool: OTHER }, value: other.value }];
    }).flat();
    return { name: this.name, help: 'Tool calls sent to an upstream.', type: 'counter', aggregator: 'sum', values };
  }

  #server(name: string): ServerCounts {
    const label = this.#servers.has(name) || this.#servers.size < MAX_SERVERS ? name : OTHER;
    let counts = this.#servers.get(label);
    if (counts === undefined) {
      counts = { tools: new Map(), other: new Cell() };
      this.#servers.set(label, counts);
    }
    return counts;
  }

  #cell({ tools, other }: ServerCounts, tool: string, isAnswered: boolean, isShowable: (tool: string) => boolean): Cell {
    const known = tools.get(tool);
    if (known !== undefined) return known;
    if (!isAnswered || tools.size >= MAX_TOOLS || tool === OTHER || !SHOWN.test(tool) || !isShowable(tool)) return other;
    const cell = new Cell();
    tools.set(tool, cell);
    return cell;
  }
}
