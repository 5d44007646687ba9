import { describe, expect, it } from "vitest";

import { holds, type Store } from "./picked.ts";

const records = new Map([
  ["low", { experiment: "low", v0_x: 0.01, v0_y: 0.9, v1_x: "adam" }],
  ["mid", { experiment: "mid", v0_x: 0.03, v0_y: 0.8, v1_x: "sgd" }],
  ["high", { experiment: "high", v0_x: 0.1, v0_y: 0.7 }],
]);
const brush: Store = [
  { fields: [{ field: "v0_x", type: "R" }, { field: "v0_y", type: "R" }], values: [[0, 0.05], [0.85, 0.5]] },
];
const words: Store = [{ fields: [{ field: "v1_x", type: "E" }], values: [["sgd", "rmsprop"]] }];
const clicked = (...names: string[]): Store => names.map((name) => ({ fields: [{ field: "experiment", type: "E" }], values: [name] }));

describe("the experiments that a selection holds", () => {
  it.each<[string, Record<string, Store>, string[]]>([
    ["nothing is selected", { pick: [], brush: [] }, []],
    ["one was clicked", { pick: clicked("mid") }, ["mid"]],
    ["two were clicked", { pick: clicked("high", "low") }, ["low", "high"]],
    ["a rectangle, drawn upwards or downwards", { brush: [{ ...brush[0]!, values: [[0, 0.05], [0.5, 0.85]] }] }, ["mid"]],
    ["a rectangle among categories", { brush_1: words }, ["mid"]],
    ["both: what is in each", { pick_0: clicked("low", "mid"), brush_0: brush, brush_1: words }, ["mid"]],
    ["what has gone", { pick: clicked("gone") }, []],
  ])("%s", (_, stores, found) => {
    expect(holds({ records, stores })).toEqual(found);
  });
});
