import type { LimitMode } from '../core/limit.ts';
import type { LeaseAnswers, LeaseRecall, SlotAnswer } from '../limit/lease-port.ts';

/**
 * From the primary to a worker, little endian. Answers: kind u8, stamp f64, sent f64, then records of slot u32, generation
 * u16, granted u32, left u32, wait in ms f64, mode u8; read twice: the sync thread looks for the grants only. Recalls: kind u8, then
 * records of recall u32, length u16, key in UTF-8.
 */
const ANSWERS = 1;
const RECALLS = 2;
const HEAD_BYTES = 17;
const ANSWER_BYTES = 23;
/** Before the key. */
const RECALL_BYTES = 6;
const MAX_U32 = 0xffffffff;

const MODES: readonly LimitMode[] = ['remote', 'local', 'closed', 'open'];

/** Adds tokens to a slot, if the generation is still its own. */
export type Grant = (slot: number, generation: number, tokens: number) => void;

/** The answers in bytes, with `before` bytes left free in front. */
export function writeAnswers({ stamp, sentMs, answers }: LeaseAnswers, before: number): Buffer {
  const bytes = Buffer.allocUnsafe(before + HEAD_BYTES + answers.length * ANSWER_BYTES);
  bytes[before] = ANSWERS;
  bytes.writeDoubleLE(stamp, before + 1);
  bytes.writeDoubleLE(sentMs, before + 9);
  let at = before + HEAD_BYTES;
  for (const answer of answers) {
    bytes.writeUInt32LE(answer.slot, at);
    bytes.writeUInt16LE(answer.generation, at + 4);
    bytes.writeUInt32LE(answer.granted, at + 6);
    bytes.writeUInt32LE(Math.min(Math.max(0, Math.floor(answer.left)), MAX_U32), at + 10);
    bytes.writeDoubleLE(answer.waitMs, at + 14);
    bytes[at + 22] = MODES.indexOf(answer.mode);
    at += ANSWER_BYTES;
  }
  return bytes;
}

/** False when it is no frame of answers; nothing is granted then. */
export function applyGrants(frame: Uint8Array, grant: Grant): boolean {
  if (!isFrame(frame)) return false;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  for (let at = HEAD_BYTES; at < frame.length; at += ANSWER_BYTES) {
    const granted = view.getUint32(at + 6, true);
    if (granted > 0) grant(view.getUint32(at, true), view.getUint16(at + 4, true), granted);
  }
  return true;
}

/** Null when any of it is not ours. */
export function readAnswers(frame: Uint8Array): LeaseAnswers | null {
  if (!isFrame(frame)) return null;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const answers: SlotAnswer[] = [];
  for (let at = HEAD_BYTES; at < frame.length; at += ANSWER_BYTES) {
    const mode = MODES[view.getUint8(at + 22)];
    const waitMs = view.getFloat64(at + 14, true);
    if (mode === undefined || !(waitMs >= 0)) return null;
    answers.push({
      slot: view.getUint32(at, true),
      generation: view.getUint16(at + 4, true),
      granted: view.getUint32(at + 6, true),
      left: view.getUint32(at + 10, true),
      waitMs,
      mode,
    });
  }
  return { stamp: view.getFloat64(1, true), sentMs: view.getFloat64(9, true), answers };
}

/** The recalls in bytes, with `before` bytes left free in front. */
export function writeRecalls(recalls: readonly LeaseRecall[], before: number): Buffer {
  const keys = recalls.map(({ key }) => Buffer.from(key));
  const bytes = Buffer.allocUnsafe(keys.reduce((sum, key) => sum + RECALL_BYTES + key.length, before + 1));
  bytes[before] = RECALLS;
  let at = before + 1;
  for (const [index, key] of keys.entries()) {
    bytes.writeUInt32LE(recalls[index]?.recall ?? 0, at);
    bytes.writeUInt16LE(key.length, at + 4);
    key.copy(bytes, at + RECALL_BYTES);
    at += RECALL_BYTES + key.length;
  }
  return bytes;
}

/** Null when it is no frame of recalls. */
export function readRecalls(frame: Uint8Array): LeaseRecall[] | null {
  if (frame[0] !== RECALLS) return null;
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
  const recalls: LeaseRecall[] = [];
  for (let at = 1; at < bytes.length; ) {
    if (bytes.length - at < RECALL_BYTES) return null;
    const end = at + RECALL_BYTES + bytes.readUInt16LE(at + 4);
    if (end > bytes.length) return null;
    recalls.push({ recall: bytes.readUInt32LE(at), key: bytes.toString('utf8', at + RECALL_BYTES, end) });
    at = end;
  }
  return recalls;
}

function isFrame(frame: Uint8Array): boolean {
  return frame[0] === ANSWERS && frame.length >= HEAD_BYTES && (frame.length - HEAD_BYTES) % ANSWER_BYTES === 0;
}
