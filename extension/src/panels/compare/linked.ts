// Plots of `%exp plot` in other cells of the page: what is selected in one is chosen in the table, and what is chosen in the
// table is selected in each.
//
// They are drawn by the notebook's own Vega, which nobody hands us. As SVG, which their display asks for, each mark on the page
// knows what it stands for and where it belongs; from there on only what Vega documents is used. Where a front end draws them
// in another way, they are not linked, and nothing else is different.

import { holds, type Selection, type Store } from "./picked.ts";

/** Of Vega's view, what is needed here. */
interface Vega {
  data(name: string): Store;
  data(name: string, tuples: Store): Vega;
  getState(options: { data: () => boolean; signals: () => boolean }): { data: Readonly<Record<string, unknown>> };
  runAsync(): Promise<unknown>;
}

interface Mark {
  readonly datum?: Readonly<Record<string, unknown>>;
  readonly mark?: { readonly group?: { readonly context?: { readonly dataflow?: Vega } } };
}

interface Plot {
  readonly vega: Vega;
  readonly drawing: SVGSVGElement;
  readonly selection: Selection;
}

const STORE = /^(pick|brush)(_\d+)?_store$/;

/** Calls with the experiments that are selected in a plot, none where nothing is, and of which it has marks. */
export type Heard = (selected: readonly string[], drawn: ReadonlySet<string>) => void;

export class Linked {
  private pressed: Element | null = null;
  private readonly down = (event: Event): void => {
    this.pressed = plotOf(event.target);
  };
  private readonly up = (event: Event): void => {
    const plot = this.pressed ?? plotOf(event.target);
    this.pressed = null;
    // Vega has its own listeners, and takes a frame.
    if (plot !== null && event.isTrusted) setTimeout(() => void this.read(plot), 30);
  };

  private timer = 0;
  private readonly arrivals = new MutationObserver((found) => {
    const isPlot = (node: Node): boolean => node instanceof Element && (node.matches("svg.marks") || node.querySelector("svg.marks") !== null);
    if (!found.some((one) => [...one.addedNodes].some(isPlot))) return;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      quieten();
      this.drawn();
    }, 100); // by then it has its marks
  });

  /** `drawn` is called when a plot has come onto the page, or is drawn anew. */
  constructor(
    private readonly heard: Heard,
    private readonly drawn: () => void,
  ) {
    quieten();
    this.arrivals.observe(document.body, { childList: true, subtree: true });
    document.addEventListener("pointerdown", this.down, true);
    for (const kind of ["pointerup", "dblclick"]) document.addEventListener(kind, this.up, true);
  }

  close(): void {
    clearTimeout(this.timer);
    this.arrivals.disconnect();
    document.removeEventListener("pointerdown", this.down, true);
    for (const kind of ["pointerup", "dblclick"]) document.removeEventListener(kind, this.up, true);
  }

  /** Select these experiments in every plot on the page that has some of those that are known to the table. */
  show(names: ReadonlySet<string>, isKnown: (name: string) => boolean): void {
    for (const element of document.querySelectorAll(".vega-embed")) {
      const plot = read(element);
      if (plot === null) continue;
      const known = [...plot.selection.records.keys()].filter(isKnown);
      if (known.length === 0) continue;
      const wanted = known.filter((name) => names.has(name));
      const now = new Set(holds(plot.selection));
      const isSame = known.filter((name) => now.has(name)).join("\n") === wanted.join("\n") && (wanted.length > 0 || names.size === 0);
      if (!isSame) void select(plot, [...names]);
    }
  }

  private async read(element: Element): Promise<void> {
    const found = read(element);
    if (found === null) return;
    await found.vega.runAsync();
    const plot = read(element);
    if (plot !== null) this.heard(holds(plot.selection), new Set(plot.selection.records.keys()));
  }
}

/** Vega leaves the rectangle of a selection without words, and has no way to give it some; what it selects has them. */
function quieten(): void {
  for (const one of document.querySelectorAll(".vega-embed g[class*='brush_']")) one.setAttribute("aria-hidden", "true");
}

function plotOf(target: EventTarget | null): Element | null {
  return target instanceof Element ? target.closest(".vega-embed") : null;
}

/** What is drawn, with what is selected in it; null where that cannot be seen, or it shows no experiments. */
function read(element: Element): Plot | null {
  const drawing = element.querySelector<SVGSVGElement>("svg.marks");
  if (drawing === null) return null;
  let vega: Vega | undefined;
  const records = new Map<string, Record<string, unknown>>();
  for (const one of drawing.querySelectorAll("g[class^='mark-'] > path")) {
    const mark = (one as { __data__?: Mark }).__data__;
    const name = mark?.datum?.["experiment"];
    if (typeof name !== "string") continue;
    vega ??= mark?.mark?.group?.context?.dataflow;
    // Each view has fields of its own; a rectangle in one selects by these.
    records.set(name, { ...records.get(name), ...mark?.datum });
  }
  if (vega === undefined || typeof vega.getState !== "function") return null;
  const stores: Record<string, Store> = {};
  for (const name of Object.keys(vega.getState({ data: () => true, signals: () => false }).data)) {
    if (STORE.test(name)) stores[name] = vega.data(name);
  }
  return Object.keys(stores).length === 0 ? null : { vega, drawing, selection: { records, stores } };
}

/** As if each had been clicked, and nothing else were selected. */
async function select({ vega, drawing, selection }: Plot, names: readonly string[]): Promise<void> {
  // What clears a selection in Vega-Lite, its rectangle too.
  drawing.dispatchEvent(new MouseEvent("dblclick", { bubbles: true, clientX: -1, clientY: -1 }));
  await vega.runAsync();
  for (const store of Object.keys(selection.stores)) vega.data(store, []);
  const pick = Object.keys(selection.stores).find((name) => name.startsWith("pick"));
  if (pick !== undefined) {
    vega.data(pick, names.map((name) => ({ unit: "", fields: [{ type: "E", field: "experiment" }], values: [name] })));
  }
  await vega.runAsync();
}
