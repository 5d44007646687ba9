// The rows of the table, and how they are arranged: filtered, sorted, grouped, folded. No element of a page in here.

import { Special, unpack, type Value } from "../shared/columns.ts";
import { cellText } from "../shared/format.ts";
import { compile, FilterError } from "./where.ts";

export interface Column {
  readonly id: string;
  readonly kind: "metric" | "param" | "label" | "dep";
  readonly file: string;
  readonly key: string;
  readonly title: string;
  /** Which way is better, where that is known. */
  readonly better?: "higher" | "lower";
  /** All its numbers are integers. */
  readonly whole?: boolean;
}

export type Kind = "workspace" | "baseline" | "experiment" | "step";

export interface Row {
  readonly id: string;
  readonly rev: string;
  readonly name: string | undefined;
  readonly kind: Kind;
  readonly baseline: string | undefined;
  readonly created: number | undefined;
  readonly state: string;
  /** The state for people: `running at step 3`. */
  readonly words: string;
  readonly steps: number;
  readonly detached: boolean;
  readonly error: string | undefined;
  readonly labels: Labels;
  readonly values: readonly Value[];
}

interface Labels {
  readonly tags?: readonly string[];
  readonly star?: boolean;
  readonly note?: string;
}

interface Meta {
  readonly columns: readonly Column[];
  readonly deps: readonly Column[];
  readonly names: Readonly<Record<string, string>>;
  readonly total?: number;
  readonly labels: Readonly<Record<string, Labels>>;
  readonly errors: Readonly<Record<string, string>>;
  readonly detached: readonly string[];
  /** Of a change: where each row stands among all, and which have gone. */
  readonly places?: readonly number[];
  readonly gone?: readonly string[];
}

// Before those of `Meta.columns`.
const FIXED = ["rev", "id", "name", "kind", "baseline", "created", "state", "words", "steps"] as const;

/** What is arranged, and how: all of it is saved with the notebook. */
export interface View {
  /** Ids of columns in order; those that are not named come behind. */
  order: string[];
  hidden: string[];
  pinned: string[];
  widths: Record<string, number>;
  sort: { column: string; down: boolean }[];
  where: string;
  /** `tree`: below baselines; `flat`: one list; else the id of the column whose values make groups. */
  group: string;
  folded: string[];
  colours: boolean;
  /** Which linked plots are shown, and of what. */
  plots: { shown: boolean; curve: string; x: string; y: string; axes: string[] };
}

export function emptyView(): View {
  return {
    order: [],
    hidden: [],
    pinned: [],
    widths: {},
    sort: [],
    where: "",
    group: "tree",
    folded: [],
    colours: false,
    plots: { shown: true, curve: "", x: "", y: "", axes: [] },
  };
}

/** A line of the table as it is arranged. */
export type Line =
  | { readonly kind: "row"; readonly row: Row; readonly depth: number; readonly folded: boolean | null; readonly isHead: boolean }
  | { readonly kind: "group"; readonly id: string; readonly label: string; readonly rows: readonly Row[]; readonly folded: boolean };

export interface Arranged {
  readonly lines: readonly Line[];
  /** The rows that the filter lets through, in the order of the lines, also below what is folded. */
  readonly rows: readonly Row[];
  /** Experiments among them, and of all. */
  readonly shown: number;
  readonly total: number;
  readonly error: FilterError | null;
}

/** Every row there is, by place and by id. */
export class Table {
  columns: readonly Column[] = [];
  /** Whose hashes only a filter asks for: of no place in the table, in the values of a row behind those of its columns. */
  deps: readonly Column[] = [];
  rows: readonly Row[] = [];
  byId: ReadonlyMap<string, Row> = new Map();
  /** Names of baselines that are no rows. */
  names: Readonly<Record<string, string>> = {};
  private extents = new Map<number, Extent | null>();
  private shared: Set<string> | null = null;

  /** Take all of it from the bytes of a table. */
  replace(bytes: DataView): void {
    const { meta, rows } = read(bytes);
    this.take(meta, rows);
  }

  /** Take the rows that are new or have changed, and let go of those that are no more. */
  change(bytes: DataView): void {
    const { meta, rows } = read(bytes);
    const gone = new Set([...(meta.gone ?? []), ...rows.map((row) => row.id)]);
    const before = [...this.columns, ...this.deps];
    const after = [...meta.columns, ...meta.deps];
    const places = new Map(before.map((column, at) => [column.id, at]));
    const isSame = before.length === after.length && after.every((one, at) => before[at]?.id === one.id);
    const moved = isSame ? null : after.map((column) => places.get(column.id));
    const kept = this.rows
      .filter((row) => !gone.has(row.id))
      .map((row) => (moved === null ? row : { ...row, values: moved.map((at) => (at === undefined ? undefined : row.values[at])) }));
    const arrived = rows
      .map((row, at) => ({ row, place: meta.places?.[at] ?? kept.length }))
      .sort((one, other) => one.place - other.place);
    const found: Row[] = [];
    let next = 0;
    for (const { row, place } of arrived) {
      while (found.length < place && next < kept.length) found.push(kept[next++] as Row);
      found.push(row);
    }
    // What was said of the columns is true of the rows that came; of the others it was before.
    const columns = meta.columns.map((column, at) => {
      const old = this.columns[places.get(column.id) ?? -1];
      const isSaid = rows.some((row) => row.values[at] !== undefined);
      return { ...column, whole: isSaid ? (column.whole ?? false) && (old?.whole ?? true) : (old?.whole ?? false) };
    });
    this.take({ ...meta, columns }, [...found, ...kept.slice(next)]);
  }

  private take(meta: Meta, rows: readonly Row[]): void {
    this.columns = meta.columns;
    this.deps = meta.deps;
    this.names = meta.names;
    this.rows = rows;
    this.byId = new Map(rows.map((row) => [row.id, row]));
    this.extents.clear();
    this.shared = null;
  }

  /** Whether several rows have the name. */
  isShared(name: string): boolean {
    if (this.shared === null) {
      const seen = new Set<string>();
      this.shared = new Set();
      for (const row of this.rows) {
        if (row.name === undefined) continue;
        if (seen.has(row.name)) this.shared.add(row.name);
        seen.add(row.name);
      }
    }
    return this.shared.has(name);
  }

  /** The place of a column of this id; -1 where there is none. */
  place(id: string): number {
    return this.columns.findIndex((column) => column.id === id);
  }

  /** What a name stands for, as in `--where`; an error where it stands for nothing or for several. */
  named(name: string): (row: Row) => Value {
    const found = this.find(name);
    if (found.length === 1) {
      const at = [...this.columns, ...this.deps].indexOf(found[0] as Column);
      return (row) => clean(row.values[at]);
    }
    if (found.length > 1) {
      const listed = found.map((column) => `\`${full(column)}\``).join(", ");
      throw new FilterError(`Several columns are called \`${name}\`: ${listed}.`, `name one of them: ${full(found[0] as Column)}`);
    }
    const own = this.own(name);
    if (own !== null) return own;
    const known = [...OWN, ...[...this.columns, ...this.deps].map((column) => column.title)];
    const near = nearest(name, known);
    const hint = near ? `did you mean \`${near}\`?` : `there are ${known.slice(0, 20).join(", ")}.`;
    throw new FilterError(`The table has no column \`${name}\`.`, `${hint} Text is quoted: "${name}".`);
  }

  private find(name: string): Column[] {
    const data = [...this.columns.filter((column) => column.kind !== "label"), ...this.deps];
    const called = (word: string): Column[] => {
      for (const is of [
        (column: Column) => column.title === word,
        (column: Column) => `${column.file}:${column.key}` === word,
        (column: Column) => column.key === word,
      ]) {
        const found = data.filter(is);
        if (found.length > 0) return found;
      }
      return [];
    };
    const found = called(name);
    if (found.length > 0 || OWN.includes(name)) return found;
    const dot = name.indexOf(".");
    const kind = ({ params: "param", metrics: "metric", deps: "dep" } as Record<string, string>)[name.slice(0, dot)];
    if (dot > 0 && kind !== undefined) {
      const inside = called(name.slice(dot + 1)).filter((column) => column.kind === kind);
      if (inside.length > 0) return inside;
    }
    return data.filter((column) => column.key.endsWith(`.${name}`));
  }

  private own(name: string): ((row: Row) => Value) | null {
    switch (name) {
      case "name":
      case "experiment":
        return (row) => row.name;
      case "rev":
        return (row) => row.rev;
      case "kind":
        return (row) => (row.kind === "step" ? "experiment" : row.kind);
      case "state":
        return (row) => row.state;
      case "steps":
        return (row) => row.steps;
      case "created":
        return (row) => row.created;
      case "tags":
        return (row) => row.labels.tags ?? [];
      case "star":
        return (row) => row.labels.star ?? false;
      case "note":
        return (row) => row.labels.note;
      case "baseline":
        return (row) => {
          const rev = row.kind === "baseline" ? row.rev : row.baseline;
          return rev === undefined ? undefined : this.baselineName(rev);
        };
      default:
        return null;
    }
  }

  baselineName(rev: string): string {
    return this.byId.get(rev)?.name ?? this.names[rev] ?? rev;
  }

  /** What a row has in a column, by the column's id; `name`, `created` and `state` are columns of every table. */
  value(row: Row, id: string): Value {
    if (id === "name") return rowName(row);
    if (id === "created") return row.created;
    if (id === "state") return row.kind === "experiment" ? row.words : undefined;
    return row.values[this.place(id)];
  }

  /** The least and the greatest number of a column, and whose is the best; null where there are not two. */
  extent(at: number): Extent | null {
    const known = this.extents.get(at);
    if (known !== undefined) return known;
    let [low, high] = [Infinity, -Infinity];
    for (const row of this.rows) {
      const value = row.values[at];
      if (row.kind !== "workspace" && typeof value === "number" && Number.isFinite(value)) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    const better = this.columns[at]?.better;
    const best = better === undefined ? null : better === "higher" ? high : low;
    const found = low < high ? { low, high, best } : null;
    this.extents.set(at, found);
    return found;
  }
}

export interface Extent {
  readonly low: number;
  readonly high: number;
  readonly best: number | null;
}

const OWN = ["name", "experiment", "rev", "kind", "state", "steps", "created", "tags", "star", "note", "baseline"];

function full(column: Column): string {
  if (column.kind === "dep") return `deps.${column.file}`;
  return `${column.kind === "param" ? "params" : "metrics"}.${column.file}:${column.key}`;
}

function clean(value: Value): Value {
  return value instanceof Special && value.kind === "error" ? undefined : value;
}

function read(bytes: DataView): { meta: Meta; rows: Row[] } {
  const { meta, columns, rows: count } = unpack<Meta>(bytes);
  const [revs, ids, names, kinds, baselines, created, states, words, steps] = columns as (readonly Value[])[];
  const data = columns.slice(FIXED.length);
  const detached = new Set(meta.detached);
  const rows: Row[] = [];
  for (let i = 0; i < count; i += 1) {
    const id = (ids?.[i] as string | undefined) ?? (revs?.[i] as string);
    const values: Value[] = new Array<Value>(data.length);
    for (let at = 0; at < data.length; at += 1) values[at] = data[at]?.[i];
    rows.push({
      id,
      rev: kinds?.[i] === "workspace" || /^0+$/.test(revs?.[i] as string) ? "workspace" : (revs?.[i] as string),
      name: names?.[i] as string | undefined,
      kind: kinds?.[i] as Kind,
      baseline: baselines?.[i] as string | undefined,
      created: created?.[i] as number | undefined,
      state: states?.[i] as string,
      words: words?.[i] as string,
      steps: (steps?.[i] as number | undefined) ?? 0,
      detached: detached.has(id),
      error: meta.errors[id],
      labels: meta.labels[id] ?? {},
      values,
    });
  }
  return { meta, rows };
}

/** What the first column says of a row. */
export function rowName(row: Row): string {
  if (row.kind === "workspace") return "workspace";
  if (row.detached) return `detached baseline ${row.rev.slice(0, 7)}`;
  return row.name ?? row.rev.slice(0, 7);
}

/** What a command line calls a row: its name, unless another row has that too. */
export function typed(row: Row, table: Table): string {
  if (row.kind === "workspace") return "workspace";
  if (row.name === undefined || row.detached) return row.rev.slice(0, 7);
  return row.rev !== "workspace" && table.isShared(row.name) ? row.rev.slice(0, 10) : row.name;
}

type Rank = readonly [number, number | string] | null;

/** A key by which values of any types have one order; null for what has no place in it. */
function rank(value: Value): Rank {
  if (value === undefined || value === null) return null;
  if (typeof value === "boolean") return [0, Number(value)];
  if (typeof value === "number") return Number.isNaN(value) ? null : [0, value];
  if (typeof value === "string") return [1, value];
  if (value instanceof Special) return value.kind === "error" ? null : value.kind === "int" ? [0, Number(value.text)] : [2, value.text];
  return [2, JSON.stringify(value)];
}

/** The rows in the order that is asked for; those that lack a value come last, whichever way. */
export function sorted(table: Table, rows: readonly Row[], sort: View["sort"]): Row[] {
  let found = [...rows];
  for (const { column, down } of [...sort].reverse()) {
    const at = table.place(column);
    const value = at >= 0 ? (row: Row) => row.values[at] : (row: Row) => table.value(row, column);
    const known: { row: Row; rank: NonNullable<Rank> }[] = [];
    const missing: Row[] = [];
    for (const row of found) {
      const place = rank(value(row));
      if (place === null) missing.push(row);
      else known.push({ row, rank: place });
    }
    const way = down ? -1 : 1;
    known.sort((one, other) => {
      if (one.rank[0] !== other.rank[0]) return way * (one.rank[0] - other.rank[0]);
      const [a, b] = [one.rank[1], other.rank[1]];
      return a < b ? -way : a > b ? way : 0;
    });
    found = [...known.map(({ row }) => row), ...missing];
  }
  return found;
}

/** The lines of the table as the view has them. A filter that cannot be read shows all rows, and says so. */
export function arrange(table: Table, view: View): Arranged {
  const experiments = table.rows.filter((row) => row.kind === "experiment");
  let error: FilterError | null = null;
  let holds: (row: Row) => boolean = () => true;
  if (view.where.trim() !== "") {
    try {
      holds = compile<Row>(view.where, (name) => table.named(name));
    } catch (problem) {
      if (!(problem instanceof FilterError)) throw problem;
      error = problem;
    }
  }
  const kept = table.rows.filter(holds);
  const folded = new Set(view.folded);
  const lines: Line[] = [];
  const rows: Row[] = [];
  const push = (row: Row, depth: number, fold: boolean | null = null, isHead = false): void => {
    lines.push({ kind: "row", row, depth, folded: fold, isHead });
  };
  if (view.group === "flat") {
    for (const row of sorted(table, kept.filter(isMember), view.sort)) {
      push(row, row.kind === "step" ? 1 : 0);
      rows.push(row);
    }
  } else if (view.group === "tree" || table.place(view.group) < 0) {
    // The workspace first, then each baseline with what is below it, in the order that Python gave.
    const below = new Map<string, Row[]>();
    for (const row of view.sort.length > 0 ? sorted(table, kept, view.sort) : kept) {
      if (isMember(row)) append(below, row.baseline ?? "", row);
    }
    const passed = new Set(kept);
    for (const row of table.rows) {
      if (row.kind === "workspace") {
        if (passed.has(row)) push(row, 0);
        continue;
      }
      if (row.kind !== "baseline") continue;
      const members = below.get(row.rev) ?? [];
      below.delete(row.rev);
      if (!passed.has(row) && members.length === 0) continue;
      const isFolded = folded.has(row.id);
      push(row, 0, members.length > 0 ? isFolded : null, !passed.has(row));
      for (const member of members) {
        if (!isFolded) push(member, member.kind === "step" ? 2 : 1);
        rows.push(member);
      }
    }
    for (const member of [...below.values()].flat()) {
      push(member, 1);
      rows.push(member);
    }
  } else {
    const at = table.place(view.group);
    const column = table.columns[at] as Column;
    const groups = new Map<string, { value: Value; rows: Row[] }>();
    for (const row of kept.filter((one) => one.kind === "experiment")) {
      const value = clean(row.values[at]);
      const key = JSON.stringify(value instanceof Special ? value.text : value) ?? "";
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { value, rows: [row] });
      else group.rows.push(row);
    }
    const down = view.sort.find((one) => one.column === view.group)?.down ?? false;
    const ordered = [...groups.entries()].sort(([, one], [, other]) => {
      const [a, b] = [rank(one.value), rank(other.value)];
      if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
      const found = a[0] - b[0] || (a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0);
      return down ? -found : found;
    });
    for (const [key, group] of ordered) {
      const id = `group:${key}`;
      const isFolded = folded.has(id);
      const inside = sorted(table, group.rows, view.sort);
      const label = `${column.title} = ${cellText(group.value, column.whole)}`;
      lines.push({ kind: "group", id, label, rows: inside, folded: isFolded });
      for (const row of inside) {
        if (!isFolded) push(row, 1);
        rows.push(row);
      }
    }
  }
  return { lines, rows, shown: rows.filter((row) => row.kind === "experiment").length, total: experiments.length, error };
}

function isMember(row: Row): boolean {
  return row.kind === "experiment" || row.kind === "step";
}

function append<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const found = map.get(key);
  if (found === undefined) map.set(key, [value]);
  else found.push(value);
}

/** Mean and sample standard deviation of the finite numbers of some rows in a column; null where there is none. */
export function statistic(rows: readonly Row[], at: number): { n: number; mean: number; std: number | null } | null {
  const numbers = rows.map((row) => row.values[at]).filter((one): one is number => typeof one === "number" && Number.isFinite(one));
  if (numbers.length === 0) return null;
  const mean = numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
  const squares = numbers.reduce((sum, one) => sum + (one - mean) ** 2, 0);
  return { n: numbers.length, mean, std: numbers.length > 1 ? Math.sqrt(squares / (numbers.length - 1)) : null };
}

/** The columns that are shown, pinned ones first. */
export function shownColumns(table: Table, view: View): { column: Column | Own; pinned: boolean }[] {
  const own: Own[] = [{ id: "name", title: "experiment", kind: "own" }, { id: "created", title: "created", kind: "own" }];
  if (table.rows.some((row) => row.state !== "done")) own.push({ id: "state", title: "state", kind: "own" });
  const all: (Column | Own)[] = [...own, ...table.columns];
  const places = new Map(view.order.map((id, at) => [id, at]));
  const place = (id: string): number => (id === "name" ? -1 : (places.get(id) ?? view.order.length));
  const pinned = new Set(["name", ...view.pinned]);
  const hidden = new Set(view.hidden);
  return all
    .map((column, at) => ({ column, at, pinned: pinned.has(column.id) }))
    .filter(({ column }) => !hidden.has(column.id) || column.id === "name")
    .sort((a, b) => Number(b.pinned) - Number(a.pinned) || place(a.column.id) - place(b.column.id) || a.at - b.at)
    .map(({ column, pinned: isPinned }) => ({ column, pinned: isPinned }));
}

export interface Own {
  readonly id: string;
  readonly title: string;
  readonly kind: "own";
}

/** The known word that is closest to what was typed, if any is close. */
export function nearest(word: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let least = Math.max(1, Math.floor(word.length * 0.4)) + 1;
  for (const one of known) {
    const found = distance(word.toLowerCase(), one.toLowerCase());
    if (found < least) [best, least] = [one, found];
  }
  return best;
}

function distance(a: string, b: string): number {
  let before = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const line = [i];
    for (let j = 1; j <= b.length; j += 1) {
      line.push(Math.min((before[j] as number) + 1, (line[j - 1] as number) + 1, (before[j - 1] as number) + Number(a[i - 1] !== b[j - 1])));
    }
    before = line;
  }
  return before[b.length] as number;
}
