import { describe, expect, it } from "vitest";

import { brief, clock, settled, State, thinned, type Message } from "./model.ts";

const ROW = { id: "a1", name: "calm-otter", state: "running", stage: "train", progress: "", values: "", given: "", error: "", attempt: 1 };

function points(...pairs: [number, number][]): DataView {
  const bytes = new DataView(new ArrayBuffer(pairs.length * 12));
  pairs.forEach(([step, value], at) => {
    bytes.setFloat64(at * 8, step, true);
    bytes.setFloat32(pairs.length * 8 + at * 4, value, true);
  });
  return bytes;
}

function made(): { state: State; wait: (ms: number) => void } {
  let now = 1000;
  const start: Message = { rows: { a: { ...ROW, age: 2 }, b: { ...ROW, name: "b", state: "queued", age: null } }, order: ["a", "b"] };
  const state = new State(start, () => now);
  return { state, wait: (ms) => { now += ms; } };
}

describe("what the kernel sends", () => {
  it("changes of a row only what it says", () => {
    const { state } = made();
    state.take({ kind: "new", rows: { a: { progress: "step 3" } } }, []);
    expect(state.rows.get("a")).toMatchObject({ name: "calm-otter", progress: "step 3" });
  });

  it("takes rows away that are not in the order any more", () => {
    const { state } = made();
    state.take({ kind: "new", order: ["b"] }, []);
    expect([...state.rows.keys()]).toEqual(["b"]);
  });

  it("adds points to curves that were named once", () => {
    const { state } = made();
    state.take({ kind: "new", names: { 0: ["a", "train", "acc"], 1: ["a", "train", "loss"] }, curves: [[0, 2], [1, 1]] }, [points([1, 0.5], [2, 0.75], [1, 4])]);
    state.take({ kind: "new", curves: [[0, 1]] }, [points([3, 0.875])]);
    expect(state.curves.get(0)).toMatchObject({ name: "acc", steps: [1, 2, 3], values: [0.5, 0.75, 0.875] });
    expect(state.curves.get(1)).toMatchObject({ name: "loss", steps: [1], values: [4] });
  });

  it("begins anew with all there is", () => {
    const { state } = made();
    state.take({ kind: "new", names: { 0: ["a", "train", "acc"] }, curves: [[0, 1]] }, [points([1, 0.5])]);
    state.take({ kind: "all", rows: { c: { ...ROW, name: "c" } }, order: ["c"] }, []);
    expect([...state.rows.keys()]).toEqual(["c"]);
    expect(state.curves.size).toBe(0);
  });

  it("keeps the layout of a graph whose states alone are told", () => {
    const { state } = made();
    const layout = { boxes: { train: [0, 0, 90] }, edges: [], size: [100, 50] } as const;
    state.take({ kind: "new", stages: { a: { states: { train: ["waiting", null, 0, 0, 0, null] }, layout } } }, []);
    state.take({ kind: "new", stages: { a: { states: { train: ["running", 0, 1, 3, 0, null] } } } }, []);
    expect(state.stages.get("a")).toMatchObject({ layout, states: { train: ["running", 0, 1, 3, 0, null] } });
  });
});

describe("time", () => {
  it("goes on for what runs", () => {
    const { state, wait } = made();
    wait(3000);
    expect(state.elapsed("a")).toBe(5);
    expect(state.elapsed("b")).toBeNull();
  });

  it("tells that the kernel is cut off after five silent seconds", () => {
    const { state, wait } = made();
    wait(4900);
    expect(state.isCutOff).toBe(false);
    wait(200);
    expect(state.isCutOff).toBe(true);
    state.take({ kind: "beat" }, []);
    expect(state.isCutOff).toBe(false);
  });

  it("is told which views the kernel knows", () => {
    const { state } = made();
    state.take({ kind: "beat" }, []);
    expect(state.views).toEqual([]);
    state.take({ kind: "all", rows: {}, order: [], views: ["a"] }, []);
    state.take({ kind: "new" }, []);
    expect(state.views).toEqual(["a"]);
  });

  it("is short", () => {
    expect([7, 750, 7500].map(clock)).toEqual(["0:07", "12:30", "2:05:00"]);
    expect([0.44, 12.2, 185].map(brief)).toEqual(["0.4 s", "12 s", "3:05"]);
  });
});

describe("requests", () => {
  it("wait until the kernel says that it has them", () => {
    const { state } = made();
    const id = state.ask("pause");
    expect(state.requests.map((one) => one.state)).toEqual(["asked"]);
    state.take({ kind: "ack", id, state: "taken" }, []);
    state.take({ kind: "ack", id, state: "failed", text: "no" }, []);
    expect(state.requests).toMatchObject([{ state: "failed", text: "no", words: "pause" }]);
  });
});

describe("texts and curves", () => {
  it("show of a progress bar its last state", () => {
    expect(settled("a\n10%\r50%\r90%\rdone\nb")).toBe("a\ndone\nb");
  });

  it("keep the peaks of a long curve", () => {
    const steps = Array.from({ length: 10_000 }, (_, i) => i);
    const values = steps.map((i) => (i === 4321 ? 9 : 0));
    const found = thinned(steps, values, 200);
    expect(found.length).toBeLessThanOrEqual(800);
    expect(found).toContainEqual([4321, 9]);
  });
});
