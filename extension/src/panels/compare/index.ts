// The compare panel: the table of experiments, what can be done with a row, and linked plots.

import "./style.css";

import { add, fill, fresh, h, onTheme } from "../shared/dom.ts";
import { cellText } from "../shared/format.ts";
import { safe } from "../shared/safe.ts";
import { Special, type Value } from "../shared/columns.ts";
import { type Acts, Grid } from "./grid.ts";
import { type Arranged, arrange, type Column, emptyView, type Own, type Row, Table, typed, type View } from "./model.ts";
import { Linked } from "./linked.ts";
import { type Curve, Plots } from "./plots.ts";

interface Model {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(content: unknown): void;
  on(name: string, act: (...args: never[]) => void): void;
  off(name: string, act: (...args: never[]) => void): void;
}

interface Answer {
  readonly say: string;
  readonly number?: number;
  readonly error?: string;
  readonly hint?: string;
  readonly line?: string;
  readonly html?: string;
  readonly notices?: readonly string[];
  readonly curves?: readonly { name: string; x: string }[];
  readonly views?: Readonly<Record<string, Partial<View>>>;
  readonly ids?: readonly string[];
  readonly whole?: boolean;
}

type Heard = { answer: Answer; buffers: readonly DataView[] };

/** What all views of one panel share: the rows, and the questions to the kernel that wait for an answer. */
class Session {
  readonly table = new Table();
  readonly selected = new Set<string>();
  readonly listeners = new Set<(what: "rows" | "selected") => void>();
  hasRows = false;
  private number = 0;
  private readonly waiting = new Map<number, (heard: Heard) => void>();

  constructor(readonly model: Model) {
    this.take();
    model.on("change:data", () => this.take());
    model.on("msg:custom", (answer: Answer, buffers: readonly DataView[]) => this.hear(answer, buffers));
  }

  /** The rows are kept here and not in the model, of which all is saved with the notebook. */
  private take(): void {
    const data = this.model.get("data");
    if (!(data instanceof DataView) || data.byteLength < 16) return;
    this.table.replace(data);
    this.hasRows = true;
    this.model.set("data", null);
    this.tell("rows");
  }

  ask(content: Record<string, unknown>): Promise<Heard> {
    this.number += 1;
    const { number } = this;
    const found = new Promise<Heard>((done) => this.waiting.set(number, done));
    this.model.send({ ...content, number });
    return found;
  }

  private hear(answer: Answer, buffers: readonly DataView[]): void {
    if (answer.say === "rows" && buffers[0]) {
      if (answer.whole) this.table.replace(buffers[0]);
      else this.table.change(buffers[0]);
      this.hasRows = true;
      for (const id of [...this.selected]) if (!this.table.byId.has(id)) this.selected.delete(id);
      this.tell("rows");
    } else if (answer.say === "select") {
      this.choose(answer.ids ?? [], false);
    } else if (answer.number !== undefined) {
      this.waiting.get(answer.number)?.({ answer, buffers });
      this.waiting.delete(answer.number);
    }
  }

  /** Choose these rows and no others; the kernel is told. */
  choose(ids: readonly string[], isNews = true): void {
    const known = ids.filter((id) => this.table.byId.has(id));
    if (known.length === this.selected.size && known.every((id) => this.selected.has(id))) return;
    this.selected.clear();
    for (const id of known) this.selected.add(id);
    this.tell("selected");
    if (isNews) void this.say();
  }

  private isSaying = false;
  private isNews = false;

  /** Tell the kernel what is chosen; while it has not answered, no more than the last choice waits. */
  private async say(): Promise<void> {
    this.isNews = true;
    if (this.isSaying) return;
    this.isSaying = true;
    while (this.isNews) {
      this.isNews = false;
      // An answer may be lost with a connection: that ends the waiting, not the telling.
      const late = new Promise((done) => setTimeout(done, 10_000));
      await Promise.race([this.ask({ do: "select", ids: [...this.selected] }), late]);
    }
    this.isSaying = false;
    document.dispatchEvent(new CustomEvent("nbexp-selected"));
  }

  private tell(what: "rows" | "selected"): void {
    for (const listener of this.listeners) listener(what);
  }
}

const sessions = new Map<string, Session>();

/** One for each panel: anywidget gives each call another face of the model, but this module is loaded once for it. */
function sessionOf(model: Model): Session {
  const uid = String(model.get("uid"));
  let found = sessions.get(uid);
  if (found === undefined) {
    found = new Session(model);
    sessions.set(uid, found);
  }
  return found;
}

function quoted(word: string): string {
  return word === "…" || /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

/** A value as one would type it behind `-S key=`. */
function written(value: Value, column: Column | undefined): string {
  if (value === undefined) return "";
  if (value === null) return "null";
  return typeof value === "number" || typeof value === "string" ? String(value) : cellText(value, column?.whole);
}

class Panel {
  private readonly grid: Grid;
  private readonly plots: Plots;
  private readonly linked: Linked;
  private view: View;
  private arranged: Arranged | null = null;
  private views: Readonly<Record<string, Partial<View>>> = {};
  private last = "";
  private readonly filter: HTMLInputElement;
  private readonly problem = h("p", { class: "nbx-problem", role: "alert", hidden: true, id: fresh("problem") });
  private readonly count = h("span", { class: "nbx-count", role: "status", "aria-live": "polite" });
  private readonly groups: HTMLSelectElement;
  private readonly saved: HTMLSelectElement;
  private readonly chosen = h("div", { class: "nbx-bar nbx-chosen-bar" });
  private readonly outcome = h("div", { class: "nbx-live", role: "status", "aria-live": "polite" });
  private readonly waits = h("p", { class: "nbx-faint" });
  private pop: HTMLElement | null = null;
  private readonly cleanups: (() => void)[] = [];
  private timer = 0;

  constructor(
    private readonly root: HTMLElement,
    private readonly session: Session,
  ) {
    this.view = this.read();
    const { table } = session;
    const acts: Acts = {
      sort: (column, isMore) => this.sort(column, isMore),
      fold: (id) => this.change({ folded: this.view.folded.includes(id) ? this.view.folded.filter((one) => one !== id) : [...this.view.folded, id] }),
      toggle: (rows, isRange) => this.toggle(rows, isRange),
      menu: (row, at) => this.menu(row, at),
      columnMenu: (column, at) => this.columnMenu(column, at),
      move: (column, before) => this.move(column, before),
      widen: (column, width) => this.change({ widths: { ...this.view.widths, [column]: Math.round(width) } }),
    };
    this.grid = new Grid(table, acts);
    this.plots = new Plots(table, {
      choose: (ids) => session.choose(ids),
      change: (plots) => this.change({ plots: { ...this.view.plots, ...plots } }),
      curves: (metric, names) => this.curves(metric, names),
    });
    this.filter = h("input", {
      class: "nbx-filter",
      type: "search",
      placeholder: "Filter: acc > 0.9 and train.lr < 0.05",
      "aria-label": "Filter",
      spellcheck: "false",
      autocomplete: "off",
      "aria-describedby": this.problem.id,
      oninput: () => {
        clearTimeout(this.timer);
        this.timer = window.setTimeout(() => this.change({ where: this.filter.value }), 120);
      },
      onkeydown: (event: KeyboardEvent) => {
        if (event.key === "Escape" && this.filter.value !== "") {
          this.filter.value = "";
          this.change({ where: "" });
        } else if (event.key === "Enter" || event.key === "ArrowDown") {
          clearTimeout(this.timer);
          this.change({ where: this.filter.value });
          if (event.key === "ArrowDown") this.grid.focus();
        } else return;
        event.preventDefault();
      },
    });
    this.groups = h("select", { "aria-label": "Group by", onchange: () => this.change({ group: this.groups.value }) });
    this.saved = h("select", { "aria-label": "Views", onchange: () => this.useView() });
    const button = (words: string, act: (at: HTMLElement) => void, more: Record<string, unknown> = {}): HTMLButtonElement => {
      const made: HTMLButtonElement = h("button", { type: "button", onclick: () => act(made), ...more }, words);
      return made;
    };
    const colours = h("input", {
      type: "checkbox",
      onchange: () => this.change({ colours: colours.checked }),
    });
    const plots = h("input", {
      type: "checkbox",
      onchange: () => this.change({ plots: { ...this.view.plots, shown: plots.checked } }),
    });
    this.cleanups.push(() => clearTimeout(this.timer));
    this.sync = () => {
      if (document.activeElement !== this.filter) this.filter.value = this.view.where;
      colours.checked = this.view.colours;
      plots.checked = this.view.plots.shown;
    };
    const bar = h(
      "div",
      { class: "nbx-bar", role: "toolbar", "aria-label": "Table" },
      this.filter,
      h("label", {}, "Group by", this.groups),
      button("Columns", (at) => this.columnList(at), { "aria-haspopup": "dialog" }),
      h("label", {}, colours, "Colours"),
      h("label", {}, plots, "Plots"),
      this.saved,
      button("Refresh", () => void this.session.ask({ do: "refresh" })),
      this.count,
    );
    add(root, [bar, this.problem, this.waits, this.grid.element, this.grid.extra, this.chosen, this.outcome, this.plots.element]);
    const heard = (what: "rows" | "selected"): void => {
      if (what === "rows") return this.show();
      this.showSelected();
      this.showLinked();
    };
    session.listeners.add(heard);
    const changed = (): void => {
      if (String(session.model.get("view")) === this.last) return;
      this.view = this.read();
      this.show();
    };
    session.model.on("change:view", changed);
    this.linked = new Linked(
      (selected, drawn) => {
        const names = this.drawnNames();
        if (![...names.values()].some((name) => drawn.has(name))) return; // of another project
        const wanted = new Set(selected);
        session.choose([...names].filter(([, name]) => wanted.has(name)).map(([id]) => id));
      },
      () => {
        if (session.selected.size > 0) this.showLinked();
      },
    );
    const outside = (event: PointerEvent): void => {
      if (this.pop && !this.pop.contains(event.target as Node)) this.closePop(false);
    };
    document.addEventListener("pointerdown", outside, true);
    this.cleanups.push(
      () => session.listeners.delete(heard),
      () => session.model.off("change:view", changed),
      () => document.removeEventListener("pointerdown", outside, true),
      onTheme(() => this.plots.draw()),
      () => this.linked.close(),
      () => this.grid.close(),
      () => this.plots.close(),
    );
    this.show();
    void this.session.ask({ do: "views" }).then(({ answer }) => this.listViews(answer.views ?? {}));
  }

  private readonly sync: () => void;

  close(): void {
    for (const cleanup of this.cleanups) cleanup();
  }

  private read(): View {
    const base = emptyView();
    try {
      const found = JSON.parse(String(this.session.model.get("view") ?? "{}")) as Partial<View>;
      return { ...base, ...found, plots: { ...base.plots, ...(found.plots ?? {}) } };
    } catch {
      return base;
    }
  }

  private change(more: Partial<View>): void {
    this.view = { ...this.view, ...more };
    this.last = JSON.stringify(this.view);
    this.session.model.set("view", this.last);
    this.session.model.save_changes();
    this.show();
  }

  private show(): void {
    const { session, view } = this;
    const began = performance.now();
    this.waits.hidden = session.hasRows;
    fill(this.waits, session.hasRows ? null : "The rows are not here: the kernel that had them has gone. Run the cell again.");
    this.arranged = arrange(session.table, view);
    const { error, shown, total } = this.arranged;
    this.problem.hidden = error === null;
    fill(this.problem, error && `${error.message} ${error.hint} All rows are shown.`);
    this.filter.setAttribute("aria-invalid", String(error !== null));
    fill(this.count, shown === total ? `${total} ${total === 1 ? "experiment" : "experiments"}` : `${shown} of ${total} experiments`);
    this.listGroups();
    this.sync();
    this.grid.show(this.arranged, view, session.selected);
    this.showSelected();
    this.root.dataset["arrangedMs"] = (performance.now() - began).toFixed(1);
  }

  private showSelected(): void {
    const { session } = this;
    this.grid.choose(session.selected);
    const rows = this.chosenRows();
    this.chosen.hidden = rows.length === 0;
    const act = (words: string, run: () => void): HTMLButtonElement => h("button", { type: "button", onclick: run }, words);
    fill(
      this.chosen,
      h("span", { class: "nbx-count" }, rows.length === 1 ? `1 selected` : `${rows.length} selected`),
      rows.length === 2 && act("Compare the two", () => void this.act(["diff", this.word(rows[0]!), this.word(rows[1]!)])),
      rows.length > 0 && act("Push…", () => this.confirmed("Push", ["push", ...this.experiments(rows)], "They and their data go to the Git remote.")),
      rows.length > 0 && act("Remove…", () => this.confirmed("Remove", ["remove", ...this.experiments(rows)], "`%exp trash restore NAME` brings each back.")),
      act("Clear", () => {
        session.choose([]);
        this.grid.focus();
      }),
    );
    if (this.arranged) this.plots.show(this.arranged.rows, session.selected, this.view.plots);
  }

  private showLinked(): void {
    const names = this.drawnNames();
    const chosen = new Set([...this.session.selected].map((id) => names.get(id)).filter((name) => name !== undefined));
    const known = new Set(names.values());
    this.linked.show(chosen, (name) => known.has(name));
  }

  /** What plots of other cells call the experiments, by id. */
  private drawnNames(): Map<string, string> {
    const { table } = this.session;
    return new Map(
      table.rows.flatMap((row) => {
        if (row.kind !== "experiment") return [];
        if (row.name === undefined) return [[row.id, row.rev.slice(0, 7)]];
        return [[row.id, table.isShared(row.name) ? `${row.name} (${row.rev.slice(0, 7)})` : row.name]];
      }),
    );
  }

  private chosenRows(): Row[] {
    return [...this.session.selected].map((id) => this.session.table.byId.get(id)).filter((row) => row !== undefined);
  }

  private experiments(rows: readonly Row[]): string[] {
    return rows.filter((row) => row.kind === "experiment").map((row) => this.word(row));
  }

  private word(row: Row): string {
    return typed(row, this.session.table);
  }

  private sort(column: string, isMore: boolean): void {
    const now = this.view.sort.find((one) => one.column === column);
    const rest = isMore ? this.view.sort.filter((one) => one.column !== column) : [];
    // Up, down, and as it was.
    const next = now === undefined ? [{ column, down: false }] : now.down ? [] : [{ column, down: true }];
    this.change({ sort: [...rest, ...next] });
  }

  private anchor: string | null = null;

  private toggle(rows: readonly Row[], isRange: boolean): void {
    const { session } = this;
    const chosen = new Set(session.selected);
    const [first] = rows;
    if (isRange && this.anchor !== null && first) {
      const ids = (this.arranged?.lines ?? []).flatMap((line) => (line.kind === "row" ? [line.row.id] : []));
      const [from, to] = [ids.indexOf(this.anchor), ids.indexOf(first.id)].sort((a, b) => a - b);
      if (from !== undefined && to !== undefined && from >= 0) for (const id of ids.slice(from, to + 1)) chosen.add(id);
    } else {
      const isAll = rows.every((row) => chosen.has(row.id));
      for (const row of rows) {
        if (isAll) chosen.delete(row.id);
        else chosen.add(row.id);
      }
      this.anchor = first?.id ?? null;
    }
    session.choose([...chosen]);
  }

  // ---- columns

  private move(column: string, before: string): void {
    if (column === before || this.session.table.place(column) + this.session.table.place(before) < -1) return;
    const all = this.order().filter((id) => id !== column);
    all.splice(all.indexOf(before), 0, column);
    this.change({ order: all });
  }

  private order(): string[] {
    const all = ["created", "state", ...this.session.table.columns.map((column) => column.id)];
    const known = this.view.order.filter((id) => all.includes(id));
    return [...known, ...all.filter((id) => !known.includes(id))];
  }

  private columnMenu(column: Column | Own, at: DOMRect): void {
    const { id } = column;
    const isPinned = this.view.pinned.includes(id);
    const order = this.order();
    const place = order.indexOf(id);
    const step = (by: number): void => {
      const next = order.filter((one) => one !== id);
      next.splice(Math.max(0, place + by), 0, id);
      this.change({ order: next });
    };
    const isOwn = id === "name";
    this.popMenu(at, column.title, [
      ["Sort up", "", () => this.change({ sort: [{ column: id, down: false }] })],
      ["Sort down", "", () => this.change({ sort: [{ column: id, down: true }] })],
      !isOwn && [isPinned ? "Unpin" : "Pin left", "", () => this.change({ pinned: isPinned ? this.view.pinned.filter((one) => one !== id) : [...this.view.pinned, id] })],
      !isOwn && ["Move left", "", () => step(-1)],
      !isOwn && ["Move right", "", () => step(1)],
      !isOwn && ["Hide", "", () => this.change({ hidden: [...this.view.hidden, id] })],
      "file" in column && [this.view.group === id ? "No groups" : "Group by it", "", () => this.change({ group: this.view.group === id ? "tree" : id })],
    ]);
  }

  private columnList(at: HTMLElement): void {
    const list = h("div", { class: "nbx-list" });
    const titles = new Map([["created", "created"], ["state", "state"], ...this.session.table.columns.map((one) => [one.id, one.title] as const)]);
    for (const id of this.order()) {
      const box = h("input", {
        type: "checkbox",
        onchange: () => this.change({ hidden: box.checked ? this.view.hidden.filter((one) => one !== id) : [...this.view.hidden, id] }),
      });
      box.checked = !this.view.hidden.includes(id);
      const pin = h("input", {
        type: "checkbox",
        "aria-label": `Pin ${titles.get(id) ?? id}`,
        title: "Pin left",
        onchange: () => this.change({ pinned: pin.checked ? [...this.view.pinned, id] : this.view.pinned.filter((one) => one !== id) }),
      });
      pin.checked = this.view.pinned.includes(id);
      list.append(h("div", { class: "nbx-line" }, h("label", {}, box, titles.get(id) ?? id, pin)));
    }
    const all = h("button", { type: "button", onclick: () => { this.change({ hidden: [] }); this.columnList(at); } }, "Show all");
    const done = h("button", { type: "button", onclick: () => this.closePop(true) }, "Done");
    this.dialog(at.getBoundingClientRect(), "Columns: shown, and pinned", list, h("div", { class: "nbx-buttons" }, all, done));
  }

  private listGroups(): void {
    const options: [string, string][] = [["tree", "baseline"], ["flat", "nothing"]];
    for (const column of this.session.table.columns) if (column.kind !== "metric") options.push([column.id, column.title]);
    const key = JSON.stringify(options);
    if (this.groups.dataset["key"] !== key) {
      this.groups.dataset["key"] = key;
      fill(this.groups, ...options.map(([value, text]) => h("option", { value }, text)));
    }
    this.groups.value = options.some(([value]) => value === this.view.group) ? this.view.group : "tree";
  }

  // ---- saved views

  private listViews(views: Readonly<Record<string, Partial<View>>>): void {
    this.views = views;
    const names = Object.keys(views).sort();
    fill(
      this.saved,
      h("option", { value: "" }, "Views"),
      ...names.map((name) => h("option", { value: `=${name}` }, name)),
      h("option", { value: "+" }, "Save view…"),
      names.length > 0 && h("option", { value: "-" }, "Forget a view…"),
      h("option", { value: "0" }, "As it was"),
    );
    this.saved.value = "";
  }

  private useView(): void {
    const { value } = this.saved;
    this.saved.value = "";
    if (value === "0") this.change(emptyView());
    else if (value.startsWith("=")) {
      const found = this.views[value.slice(1)] ?? {};
      const base = emptyView();
      this.change({ ...base, ...found, plots: { ...base.plots, ...(found.plots ?? {}) } });
    } else if (value === "+" || value === "-") {
      const isGone = value === "-";
      const name = h("input", { type: "text", required: true });
      const go = (): void => {
        this.closePop(true);
        void this.session
          .ask({ do: "view", name: name.value, view: isGone ? null : this.view, remove: isGone })
          .then(({ answer }) => {
            if (answer.error === undefined) this.listViews(answer.views ?? {});
            this.tell(answer, isGone ? `Forgot the view ${name.value}.` : `Saved. \`%exp show -i --view ${quoted(name.value)}\` opens it.`);
          });
      };
      this.form(this.saved.getBoundingClientRect(), isGone ? "Forget a view" : "Save view", [h("label", {}, "Name", name)], isGone ? "Forget" : "Save", go);
    }
  }

  // ---- what can be done with a row

  private menu(row: Row, at: DOMRect): void {
    const name = this.word(row);
    const { table } = this.session;
    const base = row.baseline === undefined ? undefined : table.byId.get(row.baseline);
    const other = this.chosenRows().find((one) => one.id !== row.id);
    const isExperiment = row.kind === "experiment" && row.rev !== "workspace";
    // What runs or waits has no commit to be opened, applied or compared.
    const isRecorded = row.kind !== "workspace" && row.rev !== "workspace";
    const isRunning = row.state === "running" || row.state === "queued";
    const line = (...words: string[]): string => `%exp ${words.map(quoted).join(" ")}`;
    const plain = (label: string, ...words: string[]): MenuItem => [label, line(...words), () => void this.act(words)];
    const star = row.labels.star === true ? "--unstar" : "--star";
    this.popMenu(at, name, [
      isRecorded && plain("Open", "open", name),
      isRecorded && plain("Apply", "apply", name),
      other && isRecorded && other.rev !== "workspace" && plain(`Compare with ${this.word(other)}`, "diff", this.word(other), name),
      base && isRecorded && row.kind === "experiment" && plain("Compare with its baseline", "diff", this.word(base), name),
      isRecorded && plain("Compare with the workspace", "diff", name, "workspace"),
      row.kind !== "workspace" && ["Queue with changes…", "%exp run --queue -S …", () => this.queue(row, at)],
      isExperiment && plain(star === "--star" ? "Star" : "Take the star", "tag", name, star),
      isExperiment && ["Tag…", line("tag", name, "…"), () => this.words(at, `Tags of ${name}`, "Tags, with spaces between", (row.labels.tags ?? []).join(" "), (text) => this.tag(row, text))],
      isExperiment && ["Note…", line("note", name, "…"), () => this.words(at, `Note of ${name}`, "Note", row.labels.note ?? "", (text) => void this.act(text.trim() ? ["note", name, text.trim()] : ["note", name, "--remove"]))],
      isExperiment && ["Branch…", line("branch", name, "…"), () => this.words(at, `A branch of ${name}`, "Name of the branch", `${name}-branch`, (text) => void this.act(["branch", name, text.trim()]))],
      isExperiment && ["Push…", line("push", name), () => this.confirmed("Push", ["push", name], "It and its data go to the Git remote.", at)],
      row.kind === "experiment" && plain("Logs", "logs", name),
      isRunning && ["Stop…", line("stop", name), () => this.confirmed("Stop", ["stop", name], "What it has made so far is kept as a failed run.", at)],
      isExperiment && !isRunning && ["Remove…", line("remove", name), () => this.confirmed("Remove", ["remove", name], `\`%exp trash restore ${name}\` brings it back.`, at)],
    ]);
  }

  private tag(row: Row, text: string): void {
    const name = this.word(row);
    const now = row.labels.tags ?? [];
    const wanted = text.split(/[\s,]+/).filter((one) => one !== "");
    const gone = now.filter((one) => !wanted.includes(one));
    const fresh = wanted.filter((one) => !now.includes(one));
    void (async () => {
      if (gone.length > 0) await this.act(["tag", name, ...gone, "--remove"]);
      if (fresh.length > 0) await this.act(["tag", name, ...fresh]);
    })();
  }

  /** Asks for the params of a new experiment; those of the row stand in the fields. */
  private queue(row: Row, at: DOMRect): void {
    const { table } = this.session;
    // Looked up when the line is made: files may change while the form is open.
    const now = (place: number): string => {
      const from = table.rows.find((one) => one.kind === "workspace") ?? table.byId.get(row.baseline ?? "");
      return written(from?.values[place], table.columns[place]);
    };
    const fields = table.columns.flatMap((column, place) => {
      const value = row.values[place];
      if (column.kind !== "param" || value === undefined || value instanceof Special) return [];
      const input = h("input", { type: "text", value: written(value, column) });
      const key = column.file === "params.yaml" ? column.key : `${column.file}:${column.key}`;
      return [{ label: h("label", {}, column.title, input), words: () => (input.value === now(place) ? [] : ["-S", `${key}=${input.value}`]) }];
    });
    const words = (): string[] => ["run", "--queue", ...fields.flatMap((field) => field.words())];
    const line = h("code", {}, `%exp ${words().map(quoted).join(" ")}`);
    const list = h("div", { class: "nbx-list", oninput: () => fill(line, `%exp ${words().map(quoted).join(" ")}`) }, ...fields.map((field) => field.label));
    list.className = "";
    this.form(at, `Queue ${this.word(row)} with changes`, [list, h("p", {}, line)], "Queue", () => {
      this.closePop(true);
      void this.act(words());
    });
  }

  private words(at: DOMRect, title: string, label: string, value: string, act: (text: string) => void): void {
    const input = h("input", { type: "text", value });
    this.form(at, title, [h("label", {}, label, input)], "OK", () => {
      this.closePop(true);
      act(input.value);
    });
  }

  private confirmed(verb: string, words: readonly string[], says: string, at?: DOMRect): void {
    const line = `%exp ${words.map(quoted).join(" ")}`;
    this.form(
      at ?? this.chosen.getBoundingClientRect(),
      `${verb} ${words.slice(1).join(", ")}?`,
      [h("p", {}, h("code", {}, line)), h("p", { class: "nbx-faint" }, says)],
      verb,
      () => {
        this.closePop(true);
        void this.act([...words]);
      },
    );
  }

  /** Has the kernel carry out a command, and shows what it came to. */
  private async act(words: string[]): Promise<void> {
    const line = `%exp ${words.map(quoted).join(" ")}`;
    fill(this.outcome, h("div", { class: "nbx-outcome" }, h("code", {}, line), h("p", { class: "nbx-faint" }, "waiting for the kernel …")));
    const { answer } = await this.session.ask({ do: "act", words });
    this.tell({ line, ...answer });
    const isGuarded = words[0] === "apply" && answer.hint?.includes("--force") && !words.includes("--force");
    if (answer.error !== undefined && isGuarded) {
      const force = h("button", { type: "button", onclick: () => void this.act([...words, "--force"]) }, "Apply over them: `%exp undo` brings them back");
      this.outcome.firstElementChild?.append(h("div", { class: "nbx-buttons" }, force));
    }
  }

  private tell(answer: Partial<Answer>, says?: string): void {
    const isWrong = answer.error !== undefined;
    const close = h("button", { type: "button", "aria-label": "Close the outcome", style: "float:right", onclick: () => { fill(this.outcome); this.grid.focus(); } }, "×");
    const box = h(
      "div",
      { class: `nbx-outcome${isWrong ? " nbx-wrong" : ""}`, role: isWrong ? "alert" : undefined },
      close,
      answer.line !== undefined && h("code", {}, answer.line),
      ...(answer.notices ?? []).map((notice) => h("p", {}, notice)),
      isWrong ? h("p", {}, answer.error ?? "") : says !== undefined && h("p", {}, says),
      isWrong && answer.hint ? h("p", { class: "nbx-faint" }, `Hint: ${answer.hint}`) : null,
    );
    if (answer.html !== undefined) box.append(safe(answer.html));
    fill(this.outcome, box);
  }

  private async curves(metric: string, names: readonly string[]): Promise<readonly Curve[]> {
    const { answer, buffers } = await this.session.ask({ do: "curves", metric, names });
    return (answer.curves ?? []).map(({ name, x }, at) => {
      const bytes = buffers[at] as DataView;
      const count = bytes.getUint32(0, true);
      const read = (from: number): Float64Array => Float64Array.from({ length: count }, (_, i) => bytes.getFloat64(8 + (from + i) * 8, true));
      return { name, x, steps: read(0), values: read(count) };
    });
  }

  // ---- what stands above the table for a moment

  private popMenu(at: DOMRect, label: string, items: readonly (MenuItem | false | undefined)[]): void {
    const menu = h("div", { class: "nbx-pop", role: "menu", "aria-label": label });
    for (const item of items) {
      if (!item) continue;
      const [words, line, act] = item;
      const choice = h("button", { type: "button", role: "menuitem", tabindex: -1, "aria-label": words, onclick: () => { this.closePop(true); act(); } }, words, line && h("code", { "aria-hidden": "true" }, line));
      menu.append(choice);
    }
    menu.addEventListener("keydown", (event) => {
      const all = [...menu.querySelectorAll("button")];
      const now = all.indexOf(document.activeElement as HTMLButtonElement);
      if (event.key === "ArrowDown") all[(now + 1) % all.length]?.focus();
      else if (event.key === "ArrowUp") all[(now - 1 + all.length) % all.length]?.focus();
      else if (event.key === "Home") all[0]?.focus();
      else if (event.key === "End") all.at(-1)?.focus();
      else if (event.key === "Tab") this.closePop(true);
      else if (event.key.length === 1 && event.key !== " ") all.find((one, i) => i > now && one.textContent?.toLowerCase().startsWith(event.key.toLowerCase()))?.focus();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    this.place(menu, at);
    menu.querySelector("button")?.focus();
  }

  private form(at: DOMRect, title: string, body: readonly HTMLElement[], verb: string, act: () => void): void {
    const go = h("button", { type: "submit", class: "nbx-primary" }, verb);
    const cancel = h("button", { type: "button", onclick: () => this.closePop(true) }, "Cancel");
    const form = h(
      "form",
      {
        onsubmit: (event: SubmitEvent) => {
          event.preventDefault();
          act();
        },
        // Enter in a field is the button, whatever the page around makes of that key.
        onkeydown: (event: KeyboardEvent) => {
          if (event.key !== "Enter" || !(event.target instanceof HTMLInputElement)) return;
          event.preventDefault();
          event.stopPropagation();
          act();
        },
      },
      ...body,
      h("div", { class: "nbx-buttons" }, go, cancel),
    );
    this.dialog(at, title, form);
    const first = form.querySelector<HTMLInputElement>("input");
    (first ?? go).focus();
    first?.select();
  }

  private dialog(at: DOMRect, title: string, ...body: HTMLElement[]): void {
    const id = fresh("dialog");
    const dialog = h("div", { class: "nbx-pop nbx-dialog", role: "dialog", "aria-labelledby": id }, h("h4", { id }, title), ...body);
    dialog.addEventListener("keydown", (event) => {
      if (event.key !== "Tab") return;
      const all = [...dialog.querySelectorAll<HTMLElement>("input, button, select, textarea")];
      const end = event.shiftKey ? all[0] : all.at(-1);
      if (document.activeElement !== end) return;
      (event.shiftKey ? all.at(-1) : all[0])?.focus();
      event.preventDefault();
    });
    this.place(dialog, at);
    dialog.querySelector<HTMLElement>("input, button")?.focus();
  }

  private place(pop: HTMLElement, at: DOMRect): void {
    this.closePop(false);
    this.pop = pop;
    pop.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.closePop(true);
      event.preventDefault();
      event.stopPropagation();
    });
    this.root.append(pop);
    const box = this.root.getBoundingClientRect();
    pop.style.left = `${Math.max(0, Math.min(at.left - box.left, box.width - pop.offsetWidth - 4))}px`;
    pop.style.top = `${Math.max(0, at.bottom - box.top)}px`;
    // A panel that is lower than what opens in it grows for as long as that is there.
    const need = pop.offsetTop + pop.offsetHeight + 8;
    this.root.style.minHeight = need > box.height ? `${need}px` : "";
  }

  private closePop(isBack: boolean): void {
    this.pop?.remove();
    this.pop = null;
    this.root.style.minHeight = "";
    if (isBack) this.grid.focus();
  }
}

type MenuItem = readonly [string, string, () => void];

export default {
  initialize({ model }: { model: Model }): void {
    sessionOf(model);
  },
  render({ model, el }: { model: Model; el: HTMLElement }): () => void {
    const root = h("div", { class: "nbexp-panel nbx-compare", "data-lm-suppress-shortcuts": "true", role: "region", "aria-label": "Compare experiments" });
    el.append(root);
    const panel = new Panel(root, sessionOf(model));
    return () => panel.close();
  },
};
