// The plots below the table: curves of the rows that are chosen, and of all that pass the filter a scatter and parallel
// coordinates. What is brushed in one is chosen in the table and in the others.

import { Special, type Value } from "../shared/columns.ts";
import { colour, pen, scale, type Scale, themed } from "../shared/chart.ts";
import { fill, framed, h, svg } from "../shared/dom.ts";
import { cellText, short } from "../shared/format.ts";
import { type Column, type Row, type Table, typed, type View } from "./model.ts";

export interface Curve {
  readonly name: string;
  readonly x: string;
  readonly steps: Float64Array;
  readonly values: Float64Array;
}

export interface Wishes {
  choose(ids: readonly string[]): void;
  change(plots: Partial<View["plots"]>): void;
  curves(metric: string, names: readonly string[]): Promise<readonly Curve[]>;
}

interface Axis {
  readonly column: Column;
  readonly numbers: readonly number[];
  readonly levels: readonly string[] | undefined;
  readonly varies: boolean;
}

const MOST_AXES = 8;
const DIMMED = 0.43;

export class Plots {
  readonly element = h("div", { class: "nbx-plots" });
  private rows: readonly Row[] = [];
  private selected: ReadonlySet<string> = new Set();
  private view: View["plots"] | null = null;
  private source: readonly Row[] | null = null;
  /** Of these rows, by column: a choice of rows changes none of them. */
  private readonly axes = new Map<string, Axis | null>();
  private asked = "";
  private isAsking = false;
  private found: readonly Curve[] = [];
  private brushes = new Map<string, [number, number]>();
  /** What a choice of rows changes in the plots that are drawn. */
  private paints: (() => void)[] = [];
  private curveFigure: { element: HTMLElement; made: () => HTMLElement } | null = null;
  private isDrawn = false;
  private readonly redraw = framed(() => this.draw());
  private readonly repaint = framed(() => this.paint());
  private readonly sizes = new ResizeObserver(() => this.redraw());

  constructor(
    private readonly table: Table,
    private readonly wishes: Wishes,
  ) {
    this.sizes.observe(this.element);
  }

  close(): void {
    this.sizes.disconnect();
  }

  show(rows: readonly Row[], selected: ReadonlySet<string>, view: View["plots"]): void {
    const isSame = rows === this.source && view === this.view && this.isDrawn;
    if (rows !== this.source) {
      this.source = rows;
      this.axes.clear();
      this.rows = rows.filter((row) => row.kind === "experiment");
    }
    this.selected = selected;
    this.view = view;
    if (isSame) this.repaint();
    else this.redraw();
  }

  /** Another choice of rows: their curves, and which marks stand out. */
  private paint(): void {
    if (!this.isDrawn || this.element.hidden) return;
    if (this.curveFigure !== null) {
      const element = this.curveFigure.made();
      this.curveFigure.element.replaceWith(element);
      this.curveFigure = { ...this.curveFigure, element };
    }
    for (const after of this.after.splice(0)) after();
    for (const one of this.paints) one();
  }

  draw(): void {
    const { view } = this;
    this.paints = [];
    this.curveFigure = null;
    this.isDrawn = view !== null;
    this.element.hidden = view === null || !view.shown || this.table.columns.length === 0;
    if (view === null || this.element.hidden) return;
    const metrics = this.table.columns.filter((column) => column.kind === "metric" && this.axis(column) !== null);
    const axes = this.table.columns.filter((column) => column.kind !== "label" && this.axis(column) !== null);
    const varying = axes.filter((column) => this.axis(column)?.varies);
    const y = metrics.find((one) => one.id === view.y) ?? metrics[0];
    const x = axes.find((one) => one.id === view.x) ?? varying.find((one) => one.kind === "param") ?? axes.find((one) => one !== y);
    const curve = metrics.find((one) => one.id === view.curve) ?? y;
    const wanted = view.axes.map((id) => axes.find((one) => one.id === id)).filter((one) => one !== undefined);
    const params = varying.filter((one) => one.kind === "param").slice(0, MOST_AXES - 2);
    const coordinates = wanted.length > 1 ? wanted : [...params, ...varying.filter((one) => one.kind === "metric")].slice(0, MOST_AXES);
    if (curve) this.curveFigure = { element: this.curves(curve, metrics), made: () => this.curves(curve, metrics) };
    fill(
      this.element,
      this.curveFigure?.element,
      x && y && this.scatter(x, y, axes, metrics),
      coordinates.length > 1 && this.parallel(coordinates),
    );
    for (const after of this.after.splice(0)) after();
    for (const one of this.paints) one();
  }

  private readonly after: (() => void)[] = [];

  // ---- curves of what is chosen

  private curves(metric: Column, metrics: readonly Column[]): HTMLElement {
    const rows = [...this.selected].map((id) => this.table.byId.get(id)).filter((row) => row !== undefined && row.kind !== "baseline");
    const names = rows.map((row) => typed(row as Row, this.table)).slice(0, 20);
    const key = `${metric.id} ${names.join(" ")}`;
    if (key !== this.asked) {
      this.asked = key;
      this.found = names.length > 0 ? this.found : [];
      this.isAsking = names.length > 0;
      if (names.length > 0) {
        void this.wishes.curves(metric.key, names).then((found) => {
          if (this.asked !== key) return;
          this.isAsking = false;
          this.found = found;
          this.repaint();
        });
      }
    }
    const stage = this.stage(`Curves of ${metric.title} over steps: ${this.found.map((one) => one.name).join(", ") || "none"}`);
    const words =
      names.length === 0 ? "Choose rows to see their curves." : this.found.length > 0 ? "" : this.isAsking ? "Waiting for the kernel …" : `No curves of ${metric.title}: nothing logged it step by step.`;
    const legend = h("div", { class: "nbx-legend" });
    this.found.forEach((one, at) => legend.append(h("span", {}, h("i", { style: `background:${colour(at)}` }), one.name)));
    const choice = this.choice("Metric", metrics, metric, (id) => this.wishes.change({ curve: id }));
    if (words === "") {
      this.after.push(() => {
        const found = this.found.filter((one) => one.steps.length > 0);
        const { x, y } = this.frame(stage, scalesOf(found.map((one) => one.steps)), scalesOf(found.map((one) => one.values)), found[0]?.x ?? "step");
        const ink = pen(stage.querySelector("canvas") as HTMLCanvasElement);
        if (ink === null) return;
        found.forEach((one, at) => {
          ink.strokeStyle = ink.fillStyle = colour(at);
          ink.lineWidth = 1.8;
          ink.beginPath();
          one.steps.forEach((step, i) => ink.lineTo(x.to(step), y.to(one.values[i] as number)));
          ink.stroke();
          if (one.steps.length < 30) one.steps.forEach((step, i) => ink.fillRect(x.to(step) - 2, y.to(one.values[i] as number) - 2, 4, 4));
        });
      });
    } else {
      fill(stage, h("p", { class: "nbx-faint" }, words));
    }
    return h("figure", { class: "nbx-plot" }, h("figcaption", {}, "Curves", choice), stage, legend);
  }

  // ---- a param against a metric

  private scatter(x: Column, y: Column, axes: readonly Column[], metrics: readonly Column[]): HTMLElement {
    const [across, up] = [this.axis(x) as Axis, this.axis(y) as Axis];
    const stage = this.stage(`${y.title} against ${x.title} of ${this.rows.length} experiments`);
    this.after.push(() => {
      const scales = this.frame(stage, [across.numbers, across.levels], [up.numbers, up.levels], x.title);
      this.layers(stage, (ink, colour, which) => {
        ink.fillStyle = colour;
        ink.globalAlpha = which !== null ? 1 : 0.7;
        this.rows.forEach((row, at) => {
          const [a, b] = [across.numbers[at] as number, up.numbers[at] as number];
          if (which?.has(row.id) === false || !Number.isFinite(a) || !Number.isFinite(b)) return;
          ink.beginPath();
          ink.arc(scales.x.to(a), scales.y.to(b), which !== null ? 4.5 : 3, 0, 7);
          ink.fill();
        });
      });
      this.brush(stage, (left, right, top, bottom) => {
        const isClick = right - left < 4 && bottom - top < 4;
        const near = isClick ? 6 : 0;
        const found = this.rows.filter((_, at) => {
          const [px, py] = [scales.x.to(across.numbers[at] as number), scales.y.to(up.numbers[at] as number)];
          return px >= left - near && px <= right + near && py >= top - near && py <= bottom + near;
        });
        this.wishes.choose(found.map((row) => row.id));
      });
    });
    const title = h(
      "figcaption",
      {},
      "Scatter",
      this.choice("Across", axes, x, (id) => this.wishes.change({ x: id })),
      this.choice("Up", metrics, y, (id) => this.wishes.change({ y: id })),
    );
    return h("figure", { class: "nbx-plot" }, title, stage);
  }

  // ---- each experiment a line across many

  private parallel(columns: readonly Column[]): HTMLElement {
    const stage = this.stage(`${this.rows.length} experiments across ${columns.map((one) => one.title).join(", ")}`);
    const axes = columns.map((column) => this.axis(column) as Axis);
    for (const id of this.brushes.keys()) if (!columns.some((one) => one.id === id)) this.brushes.delete(id);
    this.after.push(() => {
      const { clientWidth: width, clientHeight: height } = stage;
      if (width === 0) return;
      const [top, bottom, side] = [26, height - 10, 44];
      const places = axes.map((_, at) => side + ((width - 2 * side) * at) / (axes.length - 1));
      const scales = axes.map((axis) => scale(axis.numbers, bottom, top, axis.levels));
      const drawing = stage.querySelector("svg") as SVGSVGElement;
      const titles = short(columns);
      axes.forEach((axis, at) => {
        const place = places[at] as number;
        drawing.append(svg("line", { class: "nbx-axis", x1: place, x2: place, y1: top, y2: bottom }));
        const title = titles[at] as string;
        const text = svg("text", { x: place, y: 12, "text-anchor": "middle" }, title.length > 12 ? `${title.slice(0, 11)}…` : title);
        text.append(svg("title", {}, axis.column.title));
        drawing.append(text);
        const { ticks } = scales[at] as Scale;
        for (const tick of [ticks[0], ticks.at(-1)]) {
          if (tick) drawing.append(svg("text", { x: place + 4, y: (scales[at] as Scale).to(tick.at) + 4 }, tick.text));
        }
      });
      this.paints.push(() => {
        for (const old of drawing.querySelectorAll(".nbx-kept")) old.remove();
        axes.forEach((axis, at) => {
          const range = this.brushes.get(axis.column.id);
          if (range === undefined) return;
          const [x, y] = [(places[at] as number) - 7, range[0]];
          drawing.append(svg("rect", { class: "nbx-brush nbx-kept", x, width: 14, y, height: range[1] - range[0] }));
        });
      });
      this.layers(stage, (ink, colour, which) => {
        ink.strokeStyle = colour;
        ink.globalAlpha = which !== null ? 0.9 : Math.max(0.06, Math.min(0.6, 60 / Math.max(1, this.rows.length)));
        ink.lineWidth = which !== null ? 1.8 : 1;
        ink.beginPath();
        this.rows.forEach((row, at) => {
          if (which?.has(row.id) === false) return;
          let isDown = false;
          axes.forEach((axis, place) => {
            const value = axis.numbers[at] as number;
            if (!Number.isFinite(value)) {
              isDown = false;
              return;
            }
            const [px, py] = [places[place] as number, (scales[place] as Scale).to(value)];
            if (isDown) ink.lineTo(px, py);
            else ink.moveTo(px, py);
            isDown = true;
          });
        });
        ink.stroke();
      });
      this.brush(stage, (left, right, from, to) => {
        const middle = (left + right) / 2;
        const at = places.reduce((best, place, i) => (Math.abs(place - middle) < Math.abs((places[best] as number) - middle) ? i : best), 0);
        const id = (axes[at] as Axis).column.id;
        if (to - from < 4) this.brushes.delete(id);
        else this.brushes.set(id, [from, to]);
        const ranges = axes.map((axis) => this.brushes.get(axis.column.id));
        const found = this.rows.filter((_, row) =>
          ranges.every((range, i) => {
            if (range === undefined) return true;
            const py = (scales[i] as Scale).to((axes[i] as Axis).numbers[row] as number);
            return py >= range[0] && py <= range[1];
          }),
        );
        this.wishes.choose(this.brushes.size > 0 ? found.map((row) => row.id) : []);
        this.repaint(); // the rectangle, though it may have chosen what was chosen before
      });
    });
    return h("figure", { class: "nbx-plot" }, h("figcaption", {}, "Parallel coordinates"), stage);
  }

  // ---- parts

  /** Marks of all rows, which are kept as a picture, and above them at each choice those of the chosen (`which`). */
  private layers(
    stage: HTMLElement,
    draw: (ink: CanvasRenderingContext2D, colour: string, which: ReadonlySet<string> | null) => void,
  ): void {
    const canvas = stage.querySelector("canvas") as HTMLCanvasElement;
    const [plain, chosen] = [themed(stage, "--nbx-faint"), themed(stage, "--nbx-accent")];
    const fine = window.devicePixelRatio || 1;
    let ground: HTMLCanvasElement | null = null;
    const ink = pen(canvas);
    if (ink === null) return;
    const { width, height } = canvas;
    this.paints.push(() => {
      const isAny = this.selected.size > 0;
      if (ground === null) {
        ground = document.createElement("canvas");
        [ground.width, ground.height] = [width, height];
        const under = ground.getContext("2d");
        if (under === null) return;
        under.scale(fine, fine);
        draw(under, plain, null);
      }
      // Fainter as soon as some are chosen.
      ink.globalAlpha = isAny ? DIMMED : 1;
      ink.clearRect(0, 0, width, height);
      ink.drawImage(ground, 0, 0, width / fine, height / fine);
      if (isAny) draw(ink, chosen, this.selected);
    });
  }

  private stage(words: string): HTMLElement {
    return h("div", { class: "nbx-stage", role: "img", "aria-label": words }, h("canvas", { "aria-hidden": "true" }), svg("svg", { "aria-hidden": "true" }));
  }

  private frame(
    stage: HTMLElement,
    across: [Iterable<number>, (readonly string[] | undefined)?],
    up: [Iterable<number>, (readonly string[] | undefined)?],
    title: string,
  ): { x: Scale; y: Scale } {
    const { clientWidth: width, clientHeight: height } = stage;
    const [left, bottom] = [52, height - 34];
    const x = scale(across[0], left, width - 8, across[1]);
    const y = scale(up[0], bottom, 8, up[1]);
    const drawing = stage.querySelector("svg") as SVGSVGElement;
    drawing.append(svg("path", { class: "nbx-axis", d: `M${left},8V${bottom}H${width - 8}` }));
    for (const tick of x.ticks) drawing.append(svg("text", { x: x.to(tick.at), y: bottom + 14, "text-anchor": "middle" }, tick.text));
    for (const tick of y.ticks) drawing.append(svg("text", { x: left - 5, y: y.to(tick.at) + 4, "text-anchor": "end" }, tick.text));
    drawing.append(svg("text", { x: (left + width) / 2, y: height - 4, "text-anchor": "middle" }, title));
    return { x, y };
  }

  /** Calls with the rectangle that was drawn with the pointer, in pixels of the stage. */
  private brush(stage: HTMLElement, act: (left: number, right: number, top: number, bottom: number) => void): void {
    const drawing = stage.querySelector("svg") as SVGSVGElement;
    stage.onpointerdown = (down) => {
      const box = stage.getBoundingClientRect();
      const [x, y] = [down.clientX - box.left, down.clientY - box.top];
      const rect = svg("rect", { class: "nbx-brush", x, y, width: 0, height: 0 });
      drawing.append(rect);
      stage.setPointerCapture(down.pointerId);
      let [left, right, top, bottom] = [x, x, y, y];
      stage.onpointermove = (move) => {
        const [mx, my] = [move.clientX - box.left, move.clientY - box.top];
        [left, right] = [Math.min(x, mx), Math.max(x, mx)];
        [top, bottom] = [Math.min(y, my), Math.max(y, my)];
        rect.setAttribute("x", String(left));
        rect.setAttribute("y", String(top));
        rect.setAttribute("width", String(right - left));
        rect.setAttribute("height", String(bottom - top));
      };
      stage.onpointerup = () => {
        stage.onpointermove = stage.onpointerup = null;
        rect.remove();
        act(left, right, top, bottom);
      };
    };
  }

  private choice(label: string, columns: readonly Column[], now: Column, act: (id: string) => void): HTMLElement {
    const select = h("select", { "aria-label": label, onchange: () => act(select.value) });
    for (const column of columns) {
      const option = h("option", { value: column.id }, column.title);
      option.selected = column === now;
      select.append(option);
    }
    return select;
  }

  /** A column as numbers, texts by their place; null where it has neither for any row. */
  private axis(column: Column): Axis | null {
    let found = this.axes.get(column.id);
    if (found === undefined) {
      found = this.made(column);
      this.axes.set(column.id, found);
    }
    return found;
  }

  private made(column: Column): Axis | null {
    const at = this.table.columns.indexOf(column);
    const values = this.rows.map((row) => row.values[at]);
    const known = values.filter((one): one is Exclude<Value, undefined | null> => one !== undefined && one !== null && !(one instanceof Special));
    if (known.length === 0) return null;
    if (known.every((one) => typeof one === "number")) {
      return { column, numbers: values.map((one) => (typeof one === "number" ? one : NaN)), levels: undefined, varies: new Set(known).size > 1 };
    }
    const levels = [...new Set(known.map((one) => cellText(one, column.whole)))].sort();
    if (levels.length > 50) return null;
    const places = new Map(levels.map((text, place) => [text, place]));
    return { column, numbers: values.map((one) => places.get(cellText(one, column.whole)) ?? NaN), levels, varies: levels.length > 1 };
  }
}

function scalesOf(parts: readonly Float64Array[]): [Iterable<number>] {
  return [parts.flatMap((part) => [...part])];
}
