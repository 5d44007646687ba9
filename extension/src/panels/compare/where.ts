// The filter of the table: the grammar of `--where`, as nbexp/experiments/where.py reads it. Both are held to the
// same cases (cases.json). A text that cannot be read is an error with its place; no part of it is passed over.

import { Special, type Value } from "../shared/columns.ts";

/** A filter, or a name in it, that cannot be understood; `hint` says what could be typed. */
export class FilterError extends Error {
  constructor(
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}

/** A time as it was asked for: from `start` until before `end`, in seconds, a day being a span. */
class Moment {
  constructor(
    readonly start: number,
    readonly end: number,
  ) {}
}

type Operand = Value | Moment | RegExp | readonly Operand[];
type Get<R> = (row: R) => Operand;
type Test<R> = (row: R) => boolean;

interface Token {
  readonly kind: "number" | "text" | "regex" | "quoted" | "name" | "sign";
  readonly text: string;
  readonly at: number;
}

const TOKEN =
  /\s*(?:(?<number>[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\p{L}\p{N}_.]))|(?<text>"(?:[^"\\]|\\[^\n])*"|'(?:[^'\\]|\\[^\n])*')|(?<regex>\/(?:[^/\\]|\\[^\n])+\/)|`(?<quoted>[^`]+)`|(?<name>[\p{L}_][\p{L}\p{N}_.:@/-]*)|(?<sign>==|!=|<=|>=|!~|[<>=~()[\],]))/uy;
const KINDS = ["number", "text", "regex", "quoted", "name", "sign"] as const;
const OPERATORS = ["==", "!=", "<=", ">=", "!~", "<", ">", "=", "~"];
const WORDS: ReadonlyMap<string, Operand> = new Map<string, Operand>([
  ["true", true],
  ["false", false],
  ["none", null],
  ["null", null],
  ["nan", NaN],
]);
const DEEPEST = 100;
const AGO = /^(\d+) ?(minute|hour|day|week)s?(?: ago)?$/;
const SECONDS: Readonly<Record<string, number>> = { minute: 60, hour: 3600, day: 86400, week: 604800 };

/** Says of a row whether the expression holds; `column` gives what a row has under a name, or throws. */
export function compile<R>(text: string, column: (name: string) => Get<R>, times: readonly string[] = ["created"]): Test<R> {
  return new Reader(text, column, times).whole();
}

/** Recursive descent over the tokens; each method reads one level of the grammar. */
class Reader<R> {
  private readonly tokens: readonly Token[];
  private next = 0;
  private depth = 0;
  private wantsTimes = false;

  constructor(
    private readonly text: string,
    private readonly column: (name: string) => Get<R>,
    private readonly times: readonly string[],
  ) {
    this.tokens = this.split();
  }

  whole(): Test<R> {
    const found = this.either();
    const rest = this.tokens[this.next];
    if (rest !== undefined) this.wrong(rest.at);
    return found;
  }

  private split(): Token[] {
    const tokens: Token[] = [];
    let at = 0;
    while (this.text.slice(at).trim() !== "") {
      TOKEN.lastIndex = at;
      const found = TOKEN.exec(this.text);
      const kind = KINDS.find((one) => found?.groups?.[one] !== undefined);
      if (found === null || kind === undefined) {
        const rest = this.text.slice(at);
        this.wrong(at + rest.length - rest.trimStart().length);
      }
      const text = found.groups?.[kind] ?? "";
      const end = at + found[0].length;
      tokens.push({ kind, text, at: end - text.length - (kind === "quoted" ? 1 : 0) });
      at = end;
    }
    return tokens;
  }

  private wrong(at: number, what = "cannot be understood"): never {
    const rest = this.text.slice(at).trim();
    const place = rest ? `at \`${rest.slice(0, 30)}\`` : "at its end";
    throw new FilterError(`The filter \`${this.text}\` ${what} ${place}.`, "for example: acc > 0.9 and train.lr < 0.05");
  }

  private is(...words: string[]): boolean {
    const token = this.tokens[this.next];
    return token !== undefined && (token.kind === "name" || token.kind === "sign") && words.includes(token.text);
  }

  private took(...words: string[]): boolean {
    const found = this.is(...words);
    if (found) this.next += 1;
    return found;
  }

  private either(): Test<R> {
    const parts = [this.both()];
    while (this.took("or")) parts.push(this.both());
    return parts.length === 1 ? (parts[0] as Test<R>) : (row) => parts.some((part) => part(row));
  }

  private both(): Test<R> {
    const parts = [this.negated()];
    while (this.took("and")) parts.push(this.negated());
    return parts.length === 1 ? (parts[0] as Test<R>) : (row) => parts.every((part) => part(row));
  }

  private negated(): Test<R> {
    this.depth += 1;
    if (this.depth > DEEPEST) this.wrong(this.place(), "is nested too deep");
    try {
      if (this.took("not")) {
        const inner = this.negated();
        return (row) => !inner(row);
      }
      return this.compared();
    } finally {
      this.depth -= 1;
    }
  }

  private place(): number {
    return this.tokens[this.next]?.at ?? this.text.length;
  }

  private compared(): Test<R> {
    if (this.is("(")) {
      const start = this.next;
      this.next += 1;
      const inner = this.either();
      if (!this.took(")")) this.wrong(this.place(), "lacks a `)`");
      if (!this.is("in", "is", ...OPERATORS)) return inner;
      this.next = start; // `("a") in tags`
    }
    let start = this.next;
    const first = this.operand();
    let left = first;
    const tests: Test<R>[] = [];
    for (let operator = this.operator(); operator !== null; operator = this.operator()) {
      const middle = this.next;
      this.wantsTimes = (operator === "in" || operator === "not in") && this.isTime(start);
      let right = this.operand();
      this.wantsTimes = false;
      if (operator === "~" || operator === "!~") {
        this.checkLike(middle);
      } else {
        [left, right] = this.timed(left, start, right, middle);
      }
      const [one, other, compare] = [left, right, COMPARISONS[operator] as Compare];
      tests.push((row) => compare(one(row), other(row)));
      start = middle;
      left = right;
    }
    if (tests.length === 0) return (row) => truth(first(row));
    return tests.length === 1 ? (tests[0] as Test<R>) : (row) => tests.every((test) => test(row));
  }

  private timed(left: Get<R>, start: number, right: Get<R>, middle: number): [Get<R>, Get<R>] {
    if (this.isTime(start)) return [left, this.asTime(right, middle)];
    return this.isTime(middle) ? [this.asTime(left, start), right] : [left, right];
  }

  private isTime(at: number): boolean {
    const token = this.tokens[at] as Token;
    return (token.kind === "name" || token.kind === "quoted") && this.times.includes(token.text);
  }

  private asTime(value: Get<R>, at: number): Get<R> {
    const token = this.tokens[at] as Token;
    if (token.kind !== "text") return value;
    const found = moment(String(this.literal(token)));
    if (found === null) this.wrong(token.at, "compares with a time, which is written 2024-05-04, and has none");
    return () => found;
  }

  private checkLike(at: number): void {
    const token = this.tokens[at] as Token;
    if (token.kind !== "text" && token.kind !== "regex") {
      this.wrong(token.at, "compares with `~`, which takes a text or a /regex/, not what stands");
    }
  }

  private operator(): string | null {
    const after = this.tokens[this.next + 1];
    if (this.is("not") && after?.kind === "name" && after.text === "in") {
      this.next += 2;
      return "not in";
    }
    if (this.took("is")) return this.took("not") ? "!=" : "==";
    if (this.is("in", ...OPERATORS)) {
      this.next += 1;
      const said = (this.tokens[this.next - 1] as Token).text;
      return said === "=" ? "==" : said;
    }
    return null;
  }

  private operand(): Get<R> {
    const token = this.tokens[this.next];
    if (token === undefined) this.wrong(this.text.length, "ends where a value is expected,");
    this.next += 1;
    if (token.kind === "sign") {
      if (token.text !== "[" && token.text !== "(") this.wrong(token.at);
      return this.listed(token.text === "[" ? "]" : ")");
    }
    if (token.kind === "quoted") return this.column(token.text);
    if (token.kind === "name") {
      if (["and", "or", "not", "in", "is"].includes(token.text)) this.wrong(token.at);
      const word = token.text.toLowerCase();
      if (WORDS.has(word)) {
        const constant = WORDS.get(word);
        return () => constant;
      }
      return this.column(token.text);
    }
    const found = this.literal(token);
    const value: Get<R> = () => found;
    return this.wantsTimes ? this.asTime(value, this.next - 1) : value;
  }

  private listed(end: string): Get<R> {
    const items: Get<R>[] = [];
    let commas = 0;
    while (!this.took(end)) {
      if (items.length > 0) {
        if (!this.took(",")) this.wrong(this.place(), `lacks a \`${end}\``);
        commas += 1;
      }
      if (this.took(end)) break;
      items.push(this.operand());
    }
    if (end === ")" && items.length === 1 && commas === 0) return items[0] as Get<R>;
    return (row) => items.map((item) => item(row));
  }

  private literal(token: Token): Operand {
    if (token.kind === "number") return Number(token.text.replaceAll("_", ""));
    const inner = token.text.slice(1, -1);
    if (token.kind === "regex") {
      try {
        return new RegExp(inner.replaceAll("\\/", "/"), "u");
      } catch (error) {
        this.wrong(token.at, `has a regular expression that is none (${(error as Error).message})`);
      }
    }
    return inner.replace(/\\([^])/g, "$1");
  }
}

type Compare = (one: Operand, other: Operand) => boolean;

function truth(found: Operand): boolean {
  const value = seen(found);
  if (Array.isArray(value)) return value.length > 0;
  return Number.isNaN(value) || Boolean(value);
}

/** What the comparison sees of a value: an integer of many digits is a number to it. */
function seen(value: Operand): Operand {
  return value instanceof Special ? (value.kind === "int" ? Number(value.text) : value.kind === "error" ? undefined : value.text) : value;
}

function equal(a: Operand, b: Operand): boolean {
  const [one, other] = [seen(a), seen(b)];
  if (one === undefined || other === undefined) return one === null || other === null; // what a row lacks is none
  if (one instanceof Moment) return order(other, one) === 0;
  if (other instanceof Moment) return order(one, other) === 0;
  if (typeof one === "number" && Number.isNaN(one)) return typeof other === "number" && Number.isNaN(other);
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((item, at) => equal(item as Operand, other[at] as Operand));
  }
  return one === other;
}

function unequal(a: Operand, b: Operand): boolean {
  const [one, other] = [seen(a), seen(b)];
  if ((one === undefined || other === undefined) && one !== null && other !== null) return false;
  return !equal(one, other);
}

/** -1, 0 or 1 as `a` is less than, equal to or more than `b`; null where neither can be said. */
function order(a: Operand, b: Operand): number | null {
  let [one, other] = [seen(a), seen(b)];
  if (one instanceof Moment && other instanceof Moment) [one, other] = [one.start, other.start];
  if (other instanceof Moment && typeof one === "number") return one < other.start ? -1 : one >= other.end ? 1 : 0;
  if (one instanceof Moment && typeof other === "number") {
    const found = order(other, one);
    return found === null ? null : -found;
  }
  const isAlike = (typeof one === "number" && typeof other === "number") || (typeof one === "string" && typeof other === "string");
  if (!isAlike || Number.isNaN(one) || Number.isNaN(other)) return null;
  return Number((one as string) > (other as string)) - Number((one as string) < (other as string));
}

function ordered(...wanted: number[]): Compare {
  return (one, other) => wanted.includes(order(one, other) ?? NaN);
}

function within(a: Operand, b: Operand): boolean {
  const [one, other] = [seen(a), seen(b)];
  if (Array.isArray(other)) return other.some((item) => equal(one, item as Operand));
  return typeof one === "string" && typeof other === "string" && other.includes(one);
}

function like(a: Operand, pattern: Operand): boolean {
  const one = seen(a);
  const texts = Array.isArray(one) ? (one as Operand[]) : [one];
  return texts.some((text) => text !== undefined && text !== null && isLike(said(text), pattern));
}

/** A value as Python's `str` has it. */
function said(value: Operand): string {
  if (typeof value === "boolean") return value ? "True" : "False";
  return String(value);
}

function isLike(text: string, pattern: Operand): boolean {
  if (pattern instanceof RegExp) return pattern.test(text);
  const wanted = String(pattern);
  return /[*?[]/.test(wanted) ? glob(wanted).test(text) : text.includes(wanted);
}

const globs = new Map<string, RegExp>();

/** A pattern of `fnmatch`, upper and lower case told apart. */
function glob(pattern: string): RegExp {
  let found = globs.get(pattern);
  if (found === undefined) {
    const source = pattern.replace(/\[(!?)(\]?[^\]]*)\]|[*?]|[^]/gu, (part, not: string, inside: string) => {
      if (part === "*") return "[^]*";
      if (part === "?") return "[^]";
      if (inside !== undefined) return `[${not ? "^" : ""}${inside.replace(/[\\\]^[]/g, "\\$&")}]`;
      return part.replace(/[\\^$.|+()[\]{}/]/g, "\\$&");
    });
    found = new RegExp(`^${source}$`, "u");
    globs.set(pattern, found);
  }
  return found;
}

const COMPARISONS: Readonly<Record<string, Compare>> = {
  "==": equal,
  "!=": unequal,
  "<": ordered(-1),
  "<=": ordered(-1, 0),
  ">": ordered(1),
  ">=": ordered(0, 1),
  in: within,
  "not in": (one, other) => seen(one) !== undefined && !within(one, other),
  "~": like,
  "!~": (one, other) => seen(one) !== undefined && !like(one, other),
};

/** The time that a text names, as the local clock has it; null if it names none. */
export function moment(text: string, now = Date.now() / 1000): Moment | null {
  const asked = text.trim();
  const word = asked.toLowerCase();
  const ago = AGO.exec(word);
  if (ago !== null) {
    const at = now - Number((ago[1] ?? "").slice(0, 9)) * (SECONDS[ago[2] ?? ""] ?? 0);
    return new Moment(at, at);
  }
  if (word === "today" || word === "yesterday") {
    const day = new Date(now * 1000);
    return span([day.getFullYear(), day.getMonth() + 1, day.getDate() - Number(word === "yesterday")], true);
  }
  const found = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?)?$/.exec(asked);
  if (found === null) return null;
  return span(found.slice(1).filter((part) => part !== undefined).map(Number), false);
}

/** The day, minute or second with these numbers; null where the calendar has none. */
function span(parts: readonly number[], mayShift: boolean): Moment | null {
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = parts;
  const start = new Date(year, month - 1, day, hour, minute, second);
  start.setFullYear(year, month - 1, day); // years before 100
  const isReal =
    mayShift ||
    (year > 0 && start.getMonth() === month - 1 && start.getDate() === day && hour < 24 && minute < 60 && second < 60);
  if (!isReal) return null;
  const end = new Date(start);
  if (parts.length === 3) end.setDate(end.getDate() + 1);
  else if (parts.length === 5) end.setMinutes(end.getMinutes() + 1);
  else end.setSeconds(end.getSeconds() + 1);
  return new Moment(start.getTime() / 1000, end.getTime() / 1000);
}
