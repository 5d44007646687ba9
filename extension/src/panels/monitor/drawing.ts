// The stages of a task as a graph, and what it logs as curves; in the colours of the page.

import { svg } from "../shared/dom.ts";
import { brief, thinned, type Curve, type Stage, type Stages } from "./model.ts";

const SIGNS: Readonly<Record<string, string>> = {
  waiting: "○", running: "▶", done: "✓", unchanged: "=", restored: "↺", "taken as edited": "✎",
  failed: "✗", interrupted: "■", stopped: "■", "not run": "–",
};
const KINDS: Readonly<Record<string, string>> = {
  running: "runs", done: "good", unchanged: "good", restored: "good", "taken as edited": "good",
  failed: "bad", interrupted: "bad", stopped: "bad",
};
const HEIGHT = 46;

/** How long a stage runs by now. */
function elapsed(stage: Stage, ageMs: number): number | null {
  return stage[1] === null ? null : stage[0] === "running" ? stage[1] + ageMs / 1000 : stage[1];
}

/** The state of a stage in a few words. */
export function said(stage: Stage, ageMs: number): string {
  const [state, , cell, cells, , expected] = stage;
  const words = [SIGNS[state] ?? "?"];
  const isRunning = state === "running";
  words.push(isRunning ? (cells > 0 ? `cell ${cell}/${cells}` : "running") : state);
  const seconds = elapsed(stage, ageMs);
  if (!isRunning && state !== "done" && state !== "waiting" && cell > 0 && seconds !== null) words.push(`cell ${cell}/${cells}`);
  if (seconds !== null) words.push(brief(seconds));
  const left = expected === null ? 0 : isRunning ? expected - (seconds ?? 0) : expected;
  if (isRunning && left > 0) words.push(`~${brief(left)} left`);
  if (state === "waiting" && left > 0) words.push(`~${brief(left)}`);
  return words.join(" ");
}

function share(stage: Stage, ageMs: number): number | null {
  const [state, , cell, cells, finished, expected] = stage;
  if (state !== "running") return null;
  if (cells > 0) return Math.min(1, (finished + (cell > finished ? 0.5 : 0)) / cells);
  return expected ? Math.min(0.99, (elapsed(stage, ageMs) ?? 0) / expected) : null;
}

/** The graph; null where its stages are not known, or are too many for a picture. */
export function graph(stages: Stages, now: number): SVGSVGElement | null {
  const { layout, states } = stages;
  if (layout === undefined) return null;
  const age = now - stages.at;
  const [width, height] = layout.size;
  const words = Object.entries(states).map(([name, stage]) => `${name}: ${said(stage, age).replace(/^\S+ /, "")}`);
  const parts: Node[] = layout.edges.flatMap(([way, tip]) => [
    svg("path", { class: "nbq-edge", d: way }),
    svg("path", { class: "nbq-tip", d: tip }),
  ]);
  for (const [name, [x, y, wide]] of Object.entries(layout.boxes)) {
    const stage = states[name];
    if (stage === undefined) continue;
    const far = share(stage, age);
    parts.push(
      svg("g", { class: `nbq-stage nbq-${KINDS[stage[0]] ?? "waits"}`, "data-stage": name },
        svg("rect", { class: "nbq-box", x, y, width: wide, height: HEIGHT, rx: 6 }),
        svg("text", { class: "nbq-stage-name", x: x + 12, y: y + 19 }, name),
        svg("text", { class: "nbq-stage-state", x: x + 12, y: y + 35 }, said(stage, age)),
        far === null ? null : svg("rect", { class: "nbq-far", x: x + 2, y: y + HEIGHT - 5, width: (wide - 4) * far, height: 3.5, rx: 1.7 }),
      ),
    );
  }
  return svg("svg", { class: "nbq-graph", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words.join("; ") }, ...parts);
}

const [WIDE, TALL, LEFT, TOP, BOTTOM] = [230, 130, 8, 28, 20];

/** A line of a chart: whose it is, and whether it is the one that was chosen. */
export interface Line {
  readonly curve: Curve;
  readonly label: string;
  readonly isChosen: boolean;
}

export const MAX_LINES = 6;

/** The colour of a line, as a class. */
export function kindOf(line: Line, number: number): string {
  return line.isChosen ? "nbq-chosen-line" : `nbq-line-${number % 4}`;
}

/** A chart for one name. */
export function chart(name: string, lines: readonly Line[]): SVGSVGElement {
  const shown = lines.filter((one) => one.curve.steps.length > 0).slice(0, MAX_LINES);
  let [low, high, first, last] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { curve } of shown) {
    for (const value of curve.values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    for (const step of [curve.steps[0] as number, curve.steps.at(-1) as number]) {
      if (step < first) first = step;
      if (step > last) last = step;
    }
  }
  const [across, up] = [last - first || 1, high - low || 1];
  const [inner, tall] = [WIDE - 2 * LEFT, TALL - TOP - BOTTOM];
  const parts: Node[] = [svg("path", { class: "nbq-axis", d: `M${LEFT} ${TOP + tall}h${inner}` })];
  shown.forEach((line, number) => {
    const { curve } = line;
    const points = thinned(curve.steps, curve.values, inner).map(([step, value]): [number, number] => [
      LEFT + ((step - first) / across) * inner,
      TOP + ((high - value) / up) * tall,
    ]);
    const [x, y] = points.at(-1) as [number, number];
    const kind = kindOf(line, number);
    parts.push(
      svg("polyline", { class: `nbq-line ${kind}`, points: points.map(([a, b]) => `${a.toFixed(1)},${b.toFixed(1)}`).join(" ") }),
      svg("circle", { class: `nbq-dot ${kind}`, cx: x, cy: y, r: 2.6 }),
    );
  });
  const chosen = shown.find((one) => one.isChosen) ?? shown[0];
  const value = chosen?.curve.values.at(-1);
  const says = shown.map(({ curve, label }) => `${label} ${number(curve.values.at(-1))} at step ${curve.steps.at(-1)}`);
  parts.push(
    svg("text", { class: "nbq-chart-name", x: LEFT, y: 17 }, name.length > 20 ? `${name.slice(0, 19)}…` : name),
    svg("text", { class: "nbq-chart-value", x: WIDE - LEFT, y: 17, "text-anchor": "end" }, number(value)),
    svg("text", { class: "nbq-chart-small", x: LEFT, y: TALL - 6 }, String(first)),
    svg("text", { class: "nbq-chart-small", x: WIDE / 2, y: TALL - 6, "text-anchor": "middle" }, `${number(low)} to ${number(high)}`),
    svg("text", { class: "nbq-chart-small", x: WIDE - LEFT, y: TALL - 6, "text-anchor": "end" }, `step ${last}`),
  );
  return svg("svg", { class: "nbq-chart", width: WIDE, height: TALL, viewBox: `0 0 ${WIDE} ${TALL}`, role: "img", "aria-label": `${name}: ${says.join(", ")}`, "data-points": chosen?.curve.steps.length ?? 0 }, ...parts);
}

function number(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return "";
  const text = Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 1e-4) ? value.toExponential(2) : value.toPrecision(4);
  return text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : text;
}
