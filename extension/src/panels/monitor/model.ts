// What the panel knows of the queue: what the kernel sent, put together. Nothing here draws.

export interface Row {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly stage: string;
  readonly progress: string;
  readonly values: string;
  readonly given: string;
  readonly error: string;
  readonly attempt: number;
  readonly live?: boolean;
  readonly age?: number | null;
}

/** A stage: its state, the seconds it runs or ran, the cell of how many, how many are done, and what it takes by past runs. */
export type Stage = readonly [string, number | null, number, number, number, number | null];

export interface Layout {
  readonly boxes: Readonly<Record<string, readonly [number, number, number]>>;
  readonly edges: readonly (readonly [string, string])[];
  readonly size: readonly [number, number];
}

export interface Stages {
  readonly states: Readonly<Record<string, Stage>>;
  readonly layout?: Layout;
  /** When it was told. */
  readonly at: number;
}

export interface Curve {
  readonly uid: string;
  readonly stage: string;
  readonly name: string;
  readonly steps: number[];
  readonly values: number[];
}

export interface Worker {
  readonly slot: string;
  readonly task: string | null;
  readonly stops: boolean;
}

/** Something that was asked for: how far it is, and what came of it. */
export interface Request {
  readonly id: number;
  readonly words: string;
  state: "asked" | "taken" | "done" | "failed";
  text: string;
  at: number;
}

export interface Alert {
  readonly id: number;
  readonly text: string;
  readonly at: number;
}

export interface Message {
  readonly kind?: string;
  readonly rows?: Readonly<Record<string, Partial<Row>>>;
  readonly order?: readonly string[];
  readonly stages?: Readonly<Record<string, { states: Record<string, Stage>; layout?: Layout } | null>>;
  readonly logs?: Readonly<Record<string, string>>;
  readonly curves?: readonly (readonly [number, number])[];
  readonly names?: Readonly<Record<string, readonly [string, string, string]>>;
  readonly again?: readonly string[];
  readonly counts?: Readonly<Record<string, number>>;
  readonly workers?: readonly Worker[];
  readonly paused?: boolean;
  readonly more?: number;
  readonly busy?: boolean;
  readonly id?: number;
  readonly state?: Request["state"];
  readonly text?: string;
  readonly views?: readonly string[];
}

/** How long the kernel may be silent. */
export const SILENCE_MS = 5000;
const MAX_POINTS = 50_000;
const MAX_LOG = 20_000;

export class State {
  rows = new Map<string, Row>();
  since = new Map<string, number>();
  order: readonly string[] = [];
  counts: Readonly<Record<string, number>> = {};
  workers: readonly Worker[] = [];
  isPaused = false;
  isBusy = false;
  more = 0;
  stages = new Map<string, Stages>();
  curves = new Map<number, Curve>();
  logs = new Map<string, string>();
  requests: Request[] = [];
  alerts: Alert[] = [];
  error = "";
  /** The views of which the kernel knew when it last told all. */
  views: readonly string[] = [];
  heardAt: number;
  private numbers = 0;

  constructor(
    start: Message,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.heardAt = now();
    this.merge(start, []);
  }

  /** Whether the kernel is silent for so long that it is gone, or cut off. */
  get isCutOff(): boolean {
    return this.now() - this.heardAt > SILENCE_MS;
  }

  /** Note a message of the kernel. */
  take(message: Message, buffers: readonly DataView[]): void {
    this.heardAt = this.now();
    if (message.kind === "all") {
      this.rows.clear();
      this.since.clear();
      this.stages.clear();
      this.curves.clear();
      this.logs.clear();
      this.error = "";
      this.views = message.views ?? [];
      this.merge(message, buffers);
    } else if (message.kind === "new") {
      this.error = "";
      this.merge(message, buffers);
    } else if (message.kind === "ack") {
      const found = this.requests.find((one) => one.id === message.id);
      if (found !== undefined) {
        found.state = message.state ?? "done";
        found.text = message.text ?? "";
        found.at = this.now();
      }
    } else if (message.kind === "alert") {
      this.numbers += 1;
      this.alerts = [...this.alerts.slice(-2), { id: this.numbers, text: message.text ?? "", at: this.now() }];
    } else if (message.kind === "error") {
      this.error = message.text ?? "";
    }
  }

  /** Something is asked of the kernel. */
  ask(words: string): number {
    this.numbers += 1;
    this.requests = [...this.requests.slice(-4), { id: this.numbers, words, state: "asked", text: "", at: this.now() }];
    return this.numbers;
  }

  /** Seconds that a task runs, or ran. */
  elapsed(uid: string): number | null {
    const row = this.rows.get(uid);
    if (row?.age === undefined || row.age === null) return null;
    const isGoing = row.state === "running" || row.state === "recording" || row.state === "stopping";
    return isGoing ? row.age + (this.now() - (this.since.get(uid) ?? this.now())) / 1000 : row.age;
  }

  /** The task that is shown where nobody has chosen one: what runs, else what ended last, else what is next. */
  get first(): string | undefined {
    const running = this.order.find((uid) => ["running", "recording", "stopping"].includes(this.rows.get(uid)?.state ?? ""));
    return running ?? this.order.find((uid) => this.rows.get(uid)?.state !== "queued") ?? this.order[0];
  }

  private merge(message: Message, buffers: readonly DataView[]): void {
    for (const [uid, part] of Object.entries(message.rows ?? {})) {
      this.rows.set(uid, { ...(this.rows.get(uid) as Row), ...part });
      if (part.age !== undefined) this.since.set(uid, this.now());
    }
    if (message.order !== undefined) {
      this.order = message.order.filter((uid) => this.rows.has(uid));
      const kept = new Set(this.order);
      for (const uid of [...this.rows.keys()]) if (!kept.has(uid)) this.rows.delete(uid);
    }
    for (const uid of message.again ?? []) {
      this.logs.delete(uid);
      for (const [id, curve] of this.curves) if (curve.uid === uid) this.curves.set(id, { ...curve, steps: [], values: [] });
    }
    for (const [uid, told] of Object.entries(message.stages ?? {})) {
      if (told === null) continue;
      const layout = told.layout ?? this.stages.get(uid)?.layout;
      this.stages.set(uid, { states: told.states, at: this.now(), ...(layout === undefined ? {} : { layout }) });
    }
    for (const [uid, text] of Object.entries(message.logs ?? {})) {
      this.logs.set(uid, settled((this.logs.get(uid) ?? "") + text).slice(-MAX_LOG));
    }
    for (const [id, [uid, stage, name]] of Object.entries(message.names ?? {})) {
      if (!this.curves.has(Number(id))) this.curves.set(Number(id), { uid, stage, name, steps: [], values: [] });
    }
    this.addPoints(message.curves ?? [], buffers[0]);
    this.counts = message.counts ?? this.counts;
    this.workers = message.workers ?? this.workers;
    this.isPaused = message.paused ?? this.isPaused;
    this.isBusy = message.busy ?? this.isBusy;
    this.more = message.more ?? this.more;
  }

  /** All steps stand first, as doubles, then all values, as floats. */
  private addPoints(parts: Message["curves"] & object, bytes: DataView | undefined): void {
    if (bytes === undefined) return;
    const count = parts.reduce((sum, [, n]) => sum + n, 0);
    let at = 0;
    for (const [id, n] of parts) {
      const curve = this.curves.get(id);
      for (let i = 0; i < n; i += 1, at += 1) {
        if (curve === undefined) continue;
        curve.steps.push(bytes.getFloat64(at * 8, true));
        curve.values.push(bytes.getFloat32(count * 8 + at * 4, true));
      }
      if (curve !== undefined && curve.steps.length > MAX_POINTS) {
        curve.steps.splice(0, curve.steps.length - MAX_POINTS);
        curve.values.splice(0, curve.values.length - MAX_POINTS);
      }
    }
  }
}

/** Of lines that were drawn over (a progress bar's), the last state. */
export function settled(text: string): string {
  return text.replace(/[^\n]*\r(?=[^\n])/g, "");
}

/** `0:07`, `12:30`, `2:05:00`. */
export function clock(seconds: number | null): string {
  if (seconds === null) return "";
  const whole = Math.floor(seconds);
  const two = (n: number): string => String(n).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** `0.4 s`, `12 s`, `3:05`. */
export function brief(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  return seconds < 59.5 ? `${Math.round(seconds)} s` : clock(Math.round(seconds));
}

/** The points of a curve that are seen on so many pixels: the first, least, greatest and last of each. */
export function thinned(steps: readonly number[], values: readonly number[], pixels: number): [number, number][] {
  const all = steps.length;
  const found: [number, number][] = [];
  if (all <= 2 * pixels) {
    for (let i = 0; i < all; i += 1) found.push([steps[i] as number, values[i] as number]);
    return found;
  }
  for (let n = 0; n < pixels; n += 1) {
    const [start, stop] = [Math.floor((n * all) / pixels), Math.floor(((n + 1) * all) / pixels)];
    let [least, most] = [start, start];
    for (let i = start; i < stop; i += 1) {
      if ((values[i] as number) < (values[least] as number)) least = i;
      if ((values[i] as number) > (values[most] as number)) most = i;
    }
    for (const i of [...new Set([start, least, most, stop - 1])].sort((a, b) => a - b)) {
      found.push([steps[i] as number, values[i] as number]);
    }
  }
  return found;
}
