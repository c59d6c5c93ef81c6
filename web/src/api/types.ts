// The JSON of the server, as `retold … -o json` has it.

export interface Card {
  session: string;
  created: string;
  last: string | null;
  head: number;
  current: string;
  events: number;
  branches: number;
  title?: string;
  status: string | null;
  first_occurred: string | null;
  last_occurred: string | null;
  since: string | null;
  why: string | null;
  progress: number | null;
  left_us: number | null;
  tokens: number;
  cost_usd: number;
  errors: number;
  labels: Record<string, string>;
}

export interface Branch {
  session: string;
  branch: string;
  parent: string | null;
  forked_at: number | null;
  parent_deleted?: boolean;
  created: string;
  last: string | null;
  head: number;
  events: number;
  current: boolean;
  first?: number;
  closed?: string;
}

export interface RecordedEvent {
  id: string;
  session: string;
  branch: string;
  sequence: number;
  position: number;
  type: string;
  version: number;
  time: string;
  recorded: string;
  source?: string;
  actor?: string;
  correlation?: string;
  causation?: string;
  traceparent?: string;
  priority?: number;
  metadata?: Record<string, string>;
  data?: unknown;
  datacontenttype?: string;
  data_base64?: string;
}

export type Speaker = 'user' | 'assistant' | 'thinking' | 'tool_call' | 'tool_result' | 'system';

export interface Part {
  speaker: Speaker;
  tool?: string;
  call?: string;
  error?: boolean;
  text: string;
}

export interface Entry {
  event: string;
  id: string;
  time: string;
  type: string;
  speaker?: Speaker;
  summary: string;
  parts?: Part[];
  model?: string;
  input_tokens?: number;
  output_tokens?: number;
  tokens?: number;
  cost_usd?: number;
}

export interface Transition {
  to: string;
  time: string;
  sequence: number;
  by?: string;
  why?: string;
}

export interface Life {
  name?: string;
  phase?: string;
  since: string;
  sequence: number;
  reason?: string;
  error?: string;
  restarts: number;
  failures: number;
  transitions: Transition[];
}

export interface Track {
  name?: string;
  fraction?: number;
  done?: number;
  total?: number;
  stage?: string;
  description?: string;
  milestones: { name: string; time: string; sequence: number }[];
  phase?: string;
}

export interface Amount {
  last: number;
  peak: number;
  mean: number;
  sum: number;
  count: number;
  time: string;
}

export interface Described {
  session: string;
  branch: string;
  current: string;
  sequence: number;
  lifecycle: { session: Life; entities: Record<string, Record<string, Life>>; odd: number };
  conversation: { prompts: number; answers: number; calls: number; open: string[]; model?: string };
  progress: { session?: Track; entities: Record<string, Record<string, Track>> };
  resource: { measures: Record<string, Amount>; models: Record<string, Record<string, Amount>> };
}

export interface Entity {
  kind: string;
  id: string;
  name?: string;
  detail?: string;
  parent?: { kind: string; id: string };
  end?: string;
  micros: number;
  spans: { phase: string; from: string; to: string }[];
}

export interface Timeline {
  of: string;
  events: number;
  from?: string;
  to?: string;
  entities: Entity[];
  warnings: { type: string; time: string }[];
}

export interface Pair {
  sequence: number;
  alike: boolean;
  left: RecordedEvent | null;
  right: RecordedEvent | null;
}

export interface Comparison {
  session: string;
  left: { branch: string; head: number };
  right: { branch: string; head: number };
  common: number;
  pairs: Pair[];
  next: number | null;
}

export interface Hit {
  address: string;
  score?: number;
  speaker?: Speaker;
  snippet: string;
  marks: [number, number][];
  event: RecordedEvent | null;
}

export interface Projection {
  name: string;
  version: number | null;
  next_version: number | null;
  scope: string | null;
  position: number;
  lag: number;
  /** Whether a process keeps its states up now. */
  running?: boolean;
  stopped?: string | null;
  parked: { of: string; at: string; position: number; reason: string; since: string }[];
}

export interface Consumer {
  name: string;
  created: string;
  ack_floor: number;
  lag: number;
  acknowledged: number;
  set_aside: number;
  dead_letters: number;
  settings: Record<string, string>;
  outstanding: { event: string; position: number; deliveries: number; first: string; due: string }[];
}

export interface DeadLetter {
  owner: string;
  position: number;
  at: string;
  id: string;
  type: string;
  error: string;
  deliveries: number;
  first: string;
  last: string;
  again: boolean;
}

export interface Timer {
  id: string;
  session: string;
  branch: string;
  type: string;
  due: string;
  clock: 'at' | 'after';
  made: string;
  refused?: string;
}

export interface TypeCoverage {
  name: string;
  known: boolean;
  domain?: string;
  events: number;
  first?: string;
  last?: string;
}
