// Which experiments a selection of Vega-Lite holds, by the test that its charts make themselves.

interface Field {
  readonly field: string;
  /** `E`: one of these values; `R`: between these two. */
  readonly type: string;
}

/** What one selection has: each entry holds a mark by all its fields; no entry holds every mark. */
export type Store = readonly { readonly unit?: string; readonly fields: readonly Field[]; readonly values: readonly unknown[] }[];

export interface Selection {
  /** What is known of each experiment, from all views. */
  readonly records: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  readonly stores: Readonly<Record<string, Store>>;
}

/** The experiments that all selections hold; none where nothing is selected. */
export function holds({ records, stores }: Selection): string[] {
  const used = Object.values(stores).filter((store) => store.length > 0);
  if (used.length === 0) return [];
  return [...records].filter(([, record]) => used.every((store) => isIn(record, store))).map(([name]) => name);
}

function isIn(record: Readonly<Record<string, unknown>>, store: Store): boolean {
  return store.some(({ fields, values }) =>
    fields.every(({ field, type }, at) => {
      const [value, wanted] = [record[field], values[at]];
      if (type === "E") return Array.isArray(wanted) ? wanted.includes(value) : wanted === value;
      if (!Array.isArray(wanted) || value === undefined || value === null) return false;
      const [low, high] = [Number(wanted[0]), Number(wanted[1])];
      return Number(value) >= Math.min(low, high) && Number(value) <= Math.max(low, high);
    }),
  );
}
