// Tables as bytes: a header in JSON that says what follows, then columns, each aligned to eight bytes.
// nbexp/jupyter/panels/packing.py writes them, and says why they are as they are.

/** What a cell may hold; `undefined` is nothing at all, `null` is YAML's null. */
export type Value = undefined | null | boolean | number | string | readonly Value[] | Special;

/** A value that JSON or a number of JavaScript cannot hold: an integer of many digits, a mapping, or why a file cannot be read. */
export class Special {
  constructor(
    readonly kind: "int" | "value" | "error",
    readonly text: string,
  ) {}
}

interface PackedColumn {
  readonly type: "f64" | "grid" | "i32" | "levels" | "texts" | "hex";
  readonly at: number;
  readonly more?: number;
  readonly width?: 1 | 2 | 4;
  readonly levels?: readonly unknown[];
}

export interface Unpacked<Meta> {
  readonly rows: number;
  readonly meta: Meta;
  readonly columns: readonly (readonly Value[])[];
}

const MAGIC = 0x3158424e; // "NBX1"
const NO_INT = -2147483648;

/** The table in these bytes. */
export function unpack<Meta>(bytes: DataView): Unpacked<Meta> {
  if (bytes.byteLength < 8 || bytes.getUint32(0, true) !== MAGIC) {
    throw new Error("These bytes are no table of nbexp.");
  }
  const length = bytes.getUint32(4, true);
  const text = new TextDecoder().decode(new Uint8Array(bytes.buffer, bytes.byteOffset + 8, length));
  const header = JSON.parse(text) as { rows: number; meta: Meta; columns: PackedColumn[] };
  // Typed arrays want aligned bytes, which a message need not be.
  const start = bytes.byteOffset + 8 + length;
  const end = bytes.byteOffset + bytes.byteLength;
  const whole = bytes.buffer as ArrayBuffer;
  const body = start % 8 === 0 ? whole : whole.slice(start, end);
  const base = start % 8 === 0 ? start : 0;
  const columns = header.columns.map((column) => decode(column, header.rows, body, base));
  return { rows: header.rows, meta: header.meta, columns };
}

function decode(column: PackedColumn, rows: number, body: ArrayBuffer, base: number): readonly Value[] {
  const at = base + column.at;
  const found: Value[] = new Array<Value>(rows);
  if (column.type === "texts") {
    return (column.levels ?? []).map((one) => (one === null ? undefined : String(one)));
  }
  if (column.type === "f64") {
    const numbers = new Float64Array(body, at, rows);
    const missing = column.more === undefined ? null : new Uint8Array(body, base + column.more, (rows + 7) >> 3);
    for (let i = 0; i < rows; i += 1) {
      const isMissing = missing !== null && ((missing[i >> 3] as number) >> (i & 7)) & 1;
      found[i] = isMissing ? undefined : numbers[i];
    }
  } else if (column.type === "grid") {
    const codes = new Uint16Array(body, at, rows);
    const count = codes.reduce((most, one) => Math.max(most, one), 0);
    const numbers = new Float64Array(body, base + (column.more ?? 0), count);
    for (let i = 0; i < rows; i += 1) {
      const code = codes[i] as number;
      found[i] = code === 0 ? undefined : numbers[code - 1];
    }
  } else if (column.type === "i32") {
    const numbers = new Int32Array(body, at, rows);
    for (let i = 0; i < rows; i += 1) {
      const one = numbers[i] as number;
      found[i] = one === NO_INT ? undefined : one;
    }
  } else if (column.type === "hex") {
    const bytes = new Uint8Array(body, at, rows * 20);
    for (let i = 0; i < rows; i += 1) found[i] = hex(bytes, i * 20);
  } else {
    const levels = (column.levels ?? []).map(level);
    const Codes = column.width === 1 ? Uint8Array : column.width === 2 ? Uint16Array : Uint32Array;
    const codes = new Codes(body, at, rows);
    for (let i = 0; i < rows; i += 1) {
      const code = codes[i] as number;
      found[i] = code === 0 ? undefined : levels[code - 1];
    }
  }
  return found;
}

const PAIRS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

function hex(bytes: Uint8Array, start: number): string {
  let text = "";
  for (let i = start; i < start + 20; i += 1) text += PAIRS[bytes[i] as number];
  return text;
}

function level(one: unknown): Value {
  if (one !== null && typeof one === "object" && !Array.isArray(one)) {
    const { $: kind, text } = one as { $: string; text: string };
    if (kind === "float") return text === "nan" ? NaN : text === "inf" ? Infinity : -Infinity;
    return new Special(kind as Special["kind"], text);
  }
  return one as Value;
}
