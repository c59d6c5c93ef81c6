// Times, amounts and addresses as people read them.

export function amount(n: number): string {
  if (!Number.isFinite(n)) return '–';
  const size = Math.abs(n);
  if (size >= 1e9) return `${trim(n / 1e9)}B`;
  if (size >= 1e6) return `${trim(n / 1e6)}M`;
  if (size >= 1e4) return `${trim(n / 1e3)}k`;
  if (Number.isInteger(n)) return n.toLocaleString('en-US');
  return size >= 100 ? n.toFixed(0) : trim(n);
}

function trim(n: number): string {
  return n.toFixed(Math.abs(n) >= 100 ? 0 : Math.abs(n) >= 10 ? 1 : 2).replace(/\.?0+$/, (end) => (end.startsWith('.') ? '' : end));
}

export function money(n: number): string {
  if (n === 0) return '$0';
  return `$${n < 0.1 ? n.toFixed(4) : n.toFixed(2)}`;
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en-US')} ${n === 1 ? one : many}`;
}

export function span(ms: number): string {
  if (ms <= 0) return '0';
  if (ms < 1) return `${Math.max(0, ms * 1000).toFixed(0)} µs`;
  if (ms < 1_000) return `${ms.toFixed(0)} ms`;
  const s = ms / 1_000;
  if (s < 60) return `${s < 10 ? trim(s) : s.toFixed(0)}s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m}m ${Math.floor(s % 60)}s`;
  const h = Math.floor(m / 60);
  if (h < 48) return `${h}h ${m % 60}m`;
  return `${Math.floor(h / 24)}d`;
}

export function ago(time: string | null | undefined, now: number): string {
  if (!time) return '–';
  const ms = now - Date.parse(time);
  if (Number.isNaN(ms)) return '–';
  if (ms < 0) return `in ${coarse(-ms)}`;
  return ms < 5_000 ? 'now' : `${coarse(ms)} ago`;
}

function coarse(ms: number): string {
  const s = ms / 1_000;
  if (s < 60) return `${Math.floor(s)}s`;
  if (s < 3_600) return `${Math.floor(s / 60)}m`;
  if (s < 48 * 3_600) return `${Math.floor(s / 3_600)}h`;
  if (s < 365 * 86_400) return `${Math.floor(s / 86_400)}d`;
  return `${Math.floor(s / (365 * 86_400))}y`;
}

const clockFormat = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const dayFormat = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });

export function clock(time: string): string {
  const at = new Date(time);
  return Number.isNaN(at.getTime()) ? time : clockFormat.format(at);
}

export function day(time: string): string {
  const at = new Date(time);
  return Number.isNaN(at.getTime()) ? time : dayFormat.format(at);
}

export function moment(time: string): string {
  return `${day(time)}, ${clock(time)}`;
}

export function sequenceOf(address: string): number {
  return Number(address.slice(address.lastIndexOf('@') + 1)) || 0;
}
