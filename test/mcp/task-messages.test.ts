import { describe, expect, it } from 'vitest';
import { acknowledgedTasks, acknowledgedWith } from '../../src/mcp/task-messages.ts';

function acknowledgement(params: unknown): Buffer {
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params }));
}

describe('the acknowledgement of a subscription', () => {
  it('names the tasks that it is given, and no others', () => {
    const bytes = acknowledgement({ notifications: { toolsListChanged: true, taskIds: ['theirs'] } });
    expect(acknowledgedTasks(bytes)).toEqual(['theirs']);
    expect(acknowledgedTasks(acknowledgedWith(bytes, ['ours']))).toEqual(['ours']);
    expect(JSON.parse(acknowledgedWith(bytes, []).toString())).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/subscriptions/acknowledged',
      params: { notifications: { toolsListChanged: true } },
    });
  });

  it.each([null, undefined, 'text', 7, true, [], ['x'], [{ taskIds: ['a'] }]])(
    'with %j for what was agreed to is no reason to fall over, and stays as it is',
    (notifications) => {
      const bytes = acknowledgement({ notifications, _meta: {} });
      expect(acknowledgedTasks(bytes)).toEqual([]);
      expect(acknowledgedWith(bytes, ['ours'])).toEqual(bytes);
      expect(acknowledgedWith(bytes, [])).toEqual(bytes);
    },
  );

  it.each([null, 'text', 7, []])('with the parameters %j neither', (params) => {
    expect(acknowledgedTasks(acknowledgement(params))).toEqual([]);
    expect(acknowledgedWith(acknowledgement(params), ['ours'])).toEqual(acknowledgement(params));
  });
});
