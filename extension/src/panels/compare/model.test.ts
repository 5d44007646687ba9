import { describe, expect, test } from "vitest";

import { Special, type Value } from "../shared/columns.ts";
import { cellText, general, harmless, short } from "../shared/format.ts";
import shared from "./cases.json";
import { arrange, type Column, emptyView, type Row, sorted, statistic, Table, typed } from "./model.ts";

function tableOf(rows: typeof shared.rows): Table {
  const keys = new Map<string, Column>();
  for (const row of rows) {
    for (const [kind, file, tree] of [["metric", "metrics.json", row.metrics], ["param", "params.yaml", row.params]] as const) {
      for (const key of Object.keys(tree)) {
        const id = `${kind}:${file}:${key}`;
        keys.set(id, { id, kind, file, key, title: key, ...(key === "acc" ? { better: "higher" as const } : {}) });
      }
    }
  }
  const table = new Table();
  table.columns = [...keys.values()];
  const paths = [...new Set(rows.flatMap((row) => Object.keys(("deps" in row && row.deps) || {})))].sort();
  table.deps = paths.map((path) => ({ id: `dep:${path}:`, kind: "dep", file: path, key: "", title: path }));
  table.rows = [
    made({ id: "base", kind: "baseline", name: "main", rev: "base" }, []),
    ...rows.map((row, at) => {
      const values = [
        ...table.columns.map((column) => ((column.kind === "metric" ? row.metrics : row.params) as Record<string, Value>)[column.key]),
        ...paths.map((path) => ("deps" in row ? (row.deps as Record<string, Value>)[path] : undefined)),
      ];
      const labels = { tags: row.tags, ...("star" in row ? { star: row.star as boolean, note: row.note as string } : {}) };
      return made({ id: `rev${at}`, rev: `rev${at}`, name: row.name, state: row.state, created: row.created, labels }, values);
    }),
  ];
  table.byId = new Map(table.rows.map((row) => [row.id, row]));
  return table;
}

function made(parts: Partial<Row>, values: readonly Value[]): Row {
  return {
    id: "", rev: "", name: undefined, kind: "experiment", baseline: parts.kind === "baseline" ? undefined : "base", created: undefined,
    state: "done", words: "done", steps: 0, detached: false, error: undefined, labels: {}, values, ...parts,
  };
}

const names = (rows: readonly Row[]): (string | undefined)[] => rows.map((row) => row.name);

describe("the filter", () => {
  test.each(shared.cases as [string, string[] | null][])("%s", (where, wanted) => {
    const found = arrange(tableOf(shared.rows), { ...emptyView(), where });
    if (wanted === null) {
      expect(found.error).not.toBeNull();
      expect(found.shown).toBe(4);
    } else {
      expect(found.error).toBeNull();
      expect(names(found.rows)).toEqual(wanted);
    }
  });

  test("names the nearest column", () => {
    const { error } = arrange(tableOf(shared.rows), { ...emptyView(), where: "train.lrr > 1" });
    expect(error?.message).toBe("The table has no column `train.lrr`.");
    expect(error?.hint).toContain("did you mean `train.lr`?");
  });
});

test("rows that lack a value come last, whichever way", () => {
  const table = tableOf(shared.rows);
  const acc = "metric:metrics.json:acc";
  const rows = table.rows.slice(1);
  expect(names(sorted(table, rows, [{ column: acc, down: false }]))).toEqual(["high-lr", "low-lr", "wild-*", "exp-12"]);
  expect(names(sorted(table, rows, [{ column: acc, down: true }]))).toEqual(["low-lr", "wild-*", "high-lr", "exp-12"]);
});

test("groups have a mean and a sample deviation, and fold", () => {
  const table = tableOf(shared.rows);
  const group = "param:params.yaml:train.epochs";
  const { lines } = arrange(table, { ...emptyView(), group });
  expect(lines.map((line) => (line.kind === "group" ? line.label : line.row.name))).toEqual([
    "train.epochs = 0", "wild-*", "train.epochs = 3", "low-lr", "exp-12", "train.epochs = 10", "high-lr",
  ]);
  const folded = arrange(table, { ...emptyView(), group, folded: ["group:3"] });
  expect(folded.lines).toHaveLength(5);
  expect(folded.shown).toBe(4);
  const found = statistic(table.rows, table.place("metric:metrics.json:acc"));
  expect(found?.n).toBe(3);
  expect(found?.mean).toBeCloseTo(0.786667, 6);
  expect(found?.std).toBeCloseTo(0.248261, 6);
});

test("a baseline folds what is below it, and stays above what passes a filter", () => {
  const table = tableOf(shared.rows);
  expect(arrange(table, { ...emptyView(), folded: ["base"] }).lines).toHaveLength(1);
  const { lines } = arrange(table, { ...emptyView(), where: "acc > 0.9" });
  expect(lines.map((line) => line.kind === "row" && line.row.name)).toEqual(["main", "low-lr", "wild-*"]);
});

test("the best of a column is known where its name says which way is better", () => {
  const table = tableOf(shared.rows);
  expect(table.extent(table.place("metric:metrics.json:acc"))).toEqual({ low: 0.5, high: 0.93, best: 0.93 });
  expect(table.extent(table.place("metric:metrics.json:loss"))?.best).toBeNull();
});

test("a name that two rows have is not typed", () => {
  const table = tableOf([shared.rows[0]!, shared.rows[0]!]);
  expect(typed(table.rows[1]!, table)).toBe("rev0");
});

test.each([
  [0.945, "0.945"], [0.0001, "0.0001"], [0.00001, "1e-05"], [123456, "1.2346e+05"], [1, "1"], [0.1 + 0.2, "0.3"], [-2.5e-7, "-2.5e-07"],
  [NaN, "nan"], [Infinity, "inf"], [99999.5, "1e+05"],
])("%f is written as Python writes it", (value, text) => {
  expect(general(value)).toBe(text);
});

test("what is no number or text is one line", () => {
  expect([undefined, null, true, "a\u001bb", [8, 4], new Special("int", "18446744073709551615")].map((one) => cellText(one as Value))).toEqual([
    "-", "-", "true", '"a\\u001bb"', "[8,4]", "18446744073709551615",
  ]);
});

// As `harmless` of markup.py says them.
test("text of others moves, colours and turns round nothing", () => {
  expect(harmless("\u001b[31mred\u001b[0m and \u202eback\u0000\u009b")).toBe("red and \\u202eback\\x00\\x9b");
  expect(harmless("two\r\nlines\tשלום 👩‍👧")).toBe("two\nlines\tשלום 👩‍👧");
  expect(cellText("a\u202eb")).toBe('"a\\u202eb"');
});

test("axes have the shortest names that tell them apart", () => {
  const named = (...keys: string[]): string[] => short(keys.map((key) => ({ key, title: `a.json:${key}` })));
  expect(named("train.lr", "train.seed", "acc")).toEqual(["lr", "seed", "acc"]);
  expect(named("train.lr", "eval.lr", "lr")).toEqual(["train.lr", "eval.lr", "lr"]);
  expect(short([{ key: "acc", title: "metrics.json:acc" }, { key: "acc", title: "cell/metrics.json:acc" }])).toEqual([
    "metrics.json:acc", "cell/metrics.json:acc",
  ]);
});
