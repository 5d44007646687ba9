// The table on the page: only the rows and columns that are in view are elements, and these are used again.
// One element has the focus; which cell the arrows have reached is `aria-activedescendant`.

import { Special, type Value } from "../shared/columns.ts";
import { add, fill, framed, fresh, h } from "../shared/dom.ts";
import { cellText, clock, general, harmless, moment } from "../shared/format.ts";
import { type Arranged, type Column, type Line, type Own, rowName, type Row, shownColumns, statistic, type Table, type View } from "./model.ts";

const ROW = 26;
const HEAD = 30;
const MARGIN = 4;
const LEAST = 60;
const MOST = 320;

export interface Acts {
  sort(column: string, isMore: boolean): void;
  fold(id: string): void;
  toggle(rows: readonly Row[], isRange: boolean): void;
  menu(row: Row, at: DOMRect): void;
  columnMenu(column: Column | Own, at: DOMRect): void;
  move(column: string, before: string): void;
  widen(column: string, width: number): void;
}

interface Placed {
  readonly place: number;
  readonly column: Column | Own;
  readonly at: number;
  readonly pinned: boolean;
  readonly width: number;
  readonly left: number;
  readonly numeric: boolean;
}

/** A cell on the page, and what was last written into it: what stays as it is, is not written again. */
interface Cell {
  readonly element: HTMLElement;
  readonly text: Text;
  placed: Placed | null;
  classes: string;
  heat: string;
  parts: Parts | null;
}

/** What is in the first cell of a row. */
interface Parts {
  readonly kind: Line["kind"];
  readonly indent: HTMLElement;
  readonly fold: HTMLElement;
  readonly box: HTMLInputElement;
  readonly name: HTMLElement;
  readonly rest: HTMLElement;
  readonly more: HTMLElement;
  depth: number;
}

interface Drawn {
  readonly element: HTMLElement;
  /** By the place of the column. */
  readonly cells: Map<number, Cell>;
  index: number;
  isStale: boolean;
  classes: string;
  chosen: string;
  expanded: string;
  row: string;
}

export class Grid {
  readonly element: HTMLElement;
  private readonly canvas: HTMLElement;
  private readonly head: HTMLElement;
  private readonly body: HTMLElement;
  private readonly empty: HTMLElement;
  private readonly id = fresh("grid");
  private placed: Placed[] = [];
  private width = 0;
  private pinnedWidth = 0;
  private drawn = new Map<number, Drawn>();
  private heads = new Map<number, HTMLElement>();
  private shownColumns: readonly Placed[] = [];
  private activeCell: HTMLElement | null = null;
  private size = { width: 0, height: 0 };
  private arranged: Arranged = { lines: [], rows: [], shown: 0, total: 0, error: null };
  private view: View | null = null;
  private selected: ReadonlySet<string> = new Set();
  /** The cell that the arrows have reached; row -1 is the head. */
  private active = { row: 0, column: 0 };
  private readonly redraw = framed(() => this.draw());
  private sizes: ResizeObserver;

  constructor(
    private readonly table: Table,
    private readonly acts: Acts,
  ) {
    this.head = h("div", { class: "nbx-row nbx-head", role: "row", "aria-rowindex": 1 });
    this.body = h("div", { class: "nbx-body", role: "rowgroup" });
    this.empty = h("p", { class: "nbx-empty nbx-faint", hidden: true });
    const heads = h("div", { role: "rowgroup", class: "nbx-heads" }, this.head);
    this.canvas = h("div", { class: "nbx-canvas", role: "presentation" }, heads, this.body);
    this.element = h(
      "div",
      {
        class: "nbx-grid",
        role: "treegrid",
        id: this.id,
        tabindex: 0,
        "aria-label": "Experiments",
        "aria-multiselectable": "true",
        onkeydown: (event: KeyboardEvent) => this.key(event),
        onscroll: () => this.redraw(),
        onclick: (event: MouseEvent) => this.click(event),
        oncontextmenu: (event: MouseEvent) => this.context(event),
        onfocus: () => this.mark(),
        // What a cell says in full is put together where somebody points, not for each one that scrolls by.
        onpointerover: (event: PointerEvent) => this.tell(event.target as HTMLElement),
      },
      this.canvas,
    );
    this.sizes = new ResizeObserver(() => {
      this.measure();
      this.redraw();
    });
    this.sizes.observe(this.element);
  }

  get extra(): HTMLElement {
    return this.empty;
  }

  close(): void {
    this.sizes.disconnect();
  }

  /** Show these lines. */
  show(arranged: Arranged, view: View, selected: ReadonlySet<string>): void {
    this.arranged = arranged;
    this.view = view;
    this.selected = selected;
    this.place(view);
    this.active.row = Math.min(this.active.row, arranged.lines.length - 1);
    this.active.column = Math.min(this.active.column, this.placed.length - 1);
    this.element.setAttribute("aria-rowcount", String(arranged.lines.length + 1));
    this.element.setAttribute("aria-colcount", String(this.placed.length));
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${HEAD + arranged.lines.length * ROW}px`;
    this.element.style.height = `${Math.min(460, HEAD + Math.max(arranged.lines.length, 2) * ROW + 18)}px`;
    // Without a kernel there are no rows, and nobody knows.
    const { rows } = this.table;
    const isBare = rows.every((row) => row.kind === "workspace" || row.kind === "baseline");
    this.empty.hidden = rows.length === 0 || (arranged.lines.length > 0 && !isBare);
    fill(this.empty, isBare ? "No experiments yet: %exp run makes one." : "No row passes the filter.");
    for (const one of this.drawn.values()) one.isStale = true;
    this.shownColumns = [];
    this.measure();
    this.draw();
  }

  private measure(): void {
    this.size = { width: this.element.clientWidth, height: this.element.clientHeight };
  }

  /** Which rows are chosen; what is drawn else stays. */
  choose(selected: ReadonlySet<string>): void {
    this.selected = selected;
    for (const one of this.drawn.values()) {
      const line = this.arranged.lines[one.index];
      if (line !== undefined) this.markRow(one, line);
    }
  }

  focus(): void {
    this.element.focus({ preventScroll: true });
  }

  /** Bring a row into view, and the arrows to it. */
  reveal(id: string): void {
    const index = this.arranged.lines.findIndex((line) => line.kind === "row" && line.row.id === id);
    if (index >= 0) this.go(index, 0);
  }

  private place(view: View): void {
    let left = 0;
    this.pinnedWidth = 0;
    this.placed = shownColumns(this.table, view).map(({ column, pinned }, place) => {
      const at = this.table.place(column.id);
      const width = view.widths[column.id] ?? this.fitting(column, at);
      const numeric = at >= 0 && this.isNumeric(at);
      const found = { place, column, at, pinned, width, left, numeric };
      left += width;
      if (pinned) this.pinnedWidth = left;
      return found;
    });
    this.width = left;
  }

  private isNumeric(at: number): boolean {
    for (const row of this.table.rows) {
      const value = row.values[at];
      if (value !== undefined && value !== null) return typeof value === "number" || (value instanceof Special && value.kind === "int");
    }
    return false;
  }

  /** As wide as what stands in it: looked at in the first rows, for there may be ten thousand. */
  private fitting(column: Column | Own, at: number): number {
    let letters = column.title.length + 4;
    for (const row of this.table.rows.slice(0, 200)) {
      const text = at >= 0 ? cellText(row.values[at], (column as Column).whole) : this.ownText(row, column.id);
      letters = Math.max(letters, text.length + ("better" in column ? 4 : 0));
    }
    // What stands before and behind a name: the indent, the mark of a fold, the box, the dots of the menu.
    const around = column.id === "name" ? 100 : 22;
    return Math.max(LEAST, Math.min(MOST, Math.round(letters * 7.3 + around)));
  }

  private ownText(row: Row, id: string): string {
    if (id === "name") return rowName(row) + (row.steps ? ` (${row.steps} steps)` : "");
    if (id === "created") return clock(row.created);
    return row.kind === "experiment" ? row.words : "";
  }

  private draw(): void {
    const view = this.view;
    if (view === null) return;
    const { scrollTop, scrollLeft } = this.element;
    const { width, height } = this.size;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - MARGIN);
    const last = Math.min(this.arranged.lines.length, Math.ceil((scrollTop + height - HEAD) / ROW) + MARGIN);
    const [from, to] = this.window(scrollLeft, width);
    const pinned = this.placed.filter((one) => one.pinned);
    const before = this.shownColumns;
    const isMoved = before[pinned.length] !== this.placed[from] || before.length !== pinned.length + to - from;
    if (isMoved || before.length === 0) {
      const isNew = before.length === 0;
      this.shownColumns = [...pinned, ...this.placed.slice(from, to)];
      this.drawHead(view, isNew);
    }
    // Elements of rows that left are given to those that came; a row that stays keeps its own: what is about to be
    // clicked must not become another row.
    const free: Drawn[] = [];
    for (const [index, one] of this.drawn) {
      if (index >= first && index < last) {
        if (one.isStale) this.drawRow(one, view);
        else if (isMoved) this.drawCells(one, view, false);
      } else {
        free.push(one);
        this.drawn.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) {
      if (this.drawn.has(index)) continue;
      const one = free.pop() ?? this.made();
      one.index = index;
      this.drawn.set(index, one);
      this.drawRow(one, view);
    }
    for (const one of free) one.element.remove();
    this.mark();
  }

  /** The columns behind the pinned ones that are in view. */
  private window(scrollLeft: number, width: number): [number, number] {
    const pinned = this.placed.filter((one) => one.pinned).length;
    let from = pinned;
    const start = scrollLeft + this.pinnedWidth;
    while (from < this.placed.length && this.placed[from]!.left + this.placed[from]!.width < start) from += 1;
    let to = from;
    while (to < this.placed.length && this.placed[to]!.left < scrollLeft + width) to += 1;
    return [from, to];
  }

  private made(): Drawn {
    const element = h("div", { class: "nbx-row", role: "row" });
    this.body.append(element);
    return { element, cells: new Map(), index: -1, isStale: true, classes: "nbx-row", chosen: "", expanded: "", row: "" };
  }

  private drawHead(view: View, isNew: boolean): void {
    const wanted = new Set(this.shownColumns);
    for (const [place, cell] of this.heads) {
      const placed = this.placed[place];
      if (!isNew && placed !== undefined && wanted.has(placed)) continue;
      cell.remove();
      this.heads.delete(place);
    }
    let before: Element | null = null;
    for (const one of this.shownColumns) {
      const place = this.placed.indexOf(one);
      let cell = this.heads.get(place);
      if (cell === undefined) {
        cell = this.headCell(one, place, view);
        this.heads.set(place, cell);
        if (before === null) this.head.prepend(cell);
        else before.after(cell);
      }
      before = cell;
    }
  }

  private headCell(one: Placed, at: number, view: View): HTMLElement {
    const { column } = one;
    const place = view.sort.findIndex((sort) => sort.column === column.id);
    const sort = place < 0 ? null : view.sort[place]!;
    const words = sort === null ? "none" : sort.down ? "descending" : "ascending";
    const better = "better" in column ? (column.better === "higher" ? " ↑" : column.better === "lower" ? " ↓" : "") : "";
    return h(
      "div",
      {
        class: `nbx-cell${one.numeric ? " nbx-number" : ""}${one.pinned ? " nbx-pinned" : ""}`,
        role: "columnheader",
        "aria-sort": words,
        "aria-colindex": at + 1,
        id: `${this.id}-h-${at}`,
        style: `width:${one.width}px;left:${one.left}px`,
        title: "file" in column && column.file ? `${column.title} of ${column.file}` : column.title,
        "data-column": column.id,
        draggable: "true",
        ondragstart: (event: DragEvent) => event.dataTransfer?.setData("text/plain", column.id),
        ondragover: (event: DragEvent) => event.preventDefault(),
        ondrop: (event: DragEvent) => {
          event.preventDefault();
          this.acts.move(event.dataTransfer?.getData("text/plain") ?? "", column.id);
        },
      },
      h("span", { class: "nbx-title" }, column.title + better),
      sort && h("span", { class: "nbx-sort", "aria-hidden": "true" }, (sort.down ? "▼" : "▲") + (view.sort.length > 1 ? place + 1 : "")),
      h("span", { class: "nbx-grip", "aria-hidden": "true", onpointerdown: (event: PointerEvent) => this.resize(event, one) }),
    );
  }

  private drawRow(one: Drawn, view: View): void {
    const line = this.arranged.lines[one.index] as Line;
    const { element } = one;
    one.isStale = false;
    element.style.transform = `translateY(${one.index * ROW}px)`;
    element.setAttribute("aria-rowindex", String(one.index + 2));
    element.dataset["index"] = String(one.index);
    this.drawCells(one, view, true);
    this.markRow(one, line);
  }

  /** The cells of the columns in view: with all that they say, or only those that came into view. */
  private drawCells(one: Drawn, view: View, isWhole: boolean): void {
    const line = this.arranged.lines[one.index] as Line;
    const wanted = new Map(this.shownColumns.map((placed) => [placed.place, placed]));
    const free: Cell[] = [];
    for (const [place, cell] of one.cells) {
      if (wanted.has(place)) continue;
      one.cells.delete(place);
      // The first column's has parts of its own.
      if (cell.parts === null) free.push(cell);
      else cell.element.remove();
    }
    let before: HTMLElement | null = null;
    for (const placed of this.shownColumns) {
      let cell = one.cells.get(placed.place);
      if (cell === undefined) {
        cell = free.pop() ?? newCell();
        // In the order of the columns, which is that in which it is read out.
        if (before === null) one.element.prepend(cell.element);
        else before.after(cell.element);
        one.cells.set(placed.place, cell);
      }
      before = cell.element;
      const isOther = cell.placed !== placed;
      if (isOther) {
        const { element } = cell;
        const old = cell.placed;
        if (old?.width !== placed.width) element.style.width = `${placed.width}px`;
        if (old?.left !== placed.left) element.style.left = `${placed.left}px`;
        if (old?.place !== placed.place) {
          element.setAttribute("aria-colindex", String(placed.place + 1));
          element.setAttribute("role", placed.column.id === "name" ? "rowheader" : "gridcell");
        }
        cell.placed = placed;
      }
      if (isWhole || isOther) this.drawCell(cell, line, placed, view);
    }
    for (const cell of free) cell.element.remove();
  }

  private drawCell(cell: Cell, line: Line, placed: Placed, view: View): void {
    let classes = placed.pinned ? "nbx-cell nbx-pinned" : "nbx-cell";
    let heat = "";
    if (placed.column.id === "name") this.drawName(cell, line);
    else if (line.kind === "group") {
      const found = this.mean(line.rows, placed);
      write(cell, found === null ? "" : general(found.mean) + (found.std === null ? "" : ` ± ${general(found.std, 2)}`));
      if (placed.numeric) classes += " nbx-number";
    } else if (placed.at < 0) {
      write(cell, this.ownText(line.row, placed.column.id));
    } else {
      const { row } = line;
      const value = row.values[placed.at];
      const text = cellText(value, (placed.column as Column).whole);
      const extent = typeof value === "number" ? this.table.extent(placed.at) : null;
      const isBest = this.isBest(row, placed);
      write(cell, isBest ? `★ ${text}` : text);
      if (isBest) classes += " nbx-best";
      if (placed.numeric) classes += " nbx-number";
      if (this.isAsBaseline(row, placed, value)) classes += " nbx-faint";
      if (view.colours && extent !== null && typeof value === "number") {
        const share = (value - extent.low) / (extent.high - extent.low);
        const good = (placed.column as Column).better === "lower" ? 1 - share : share;
        heat = `${Math.round(4 + 34 * good)}%`;
        classes += " nbx-heat";
      }
    }
    if (cell.classes !== classes) cell.element.className = cell.classes = classes;
    if (cell.heat !== heat) cell.element.style.setProperty("--nbx-share", (cell.heat = heat));
  }

  private drawName(cell: Cell, line: Line): void {
    if (cell.parts?.kind !== line.kind) {
      const parts: Parts = {
        kind: line.kind,
        indent: h("span", { class: "nbx-indent" }),
        fold: h("span", { class: "nbx-fold", "aria-hidden": "true" }),
        box: h("input", { type: "checkbox", class: "nbx-check", tabindex: -1, "aria-hidden": "true" }),
        name: h("span", line.kind === "row" ? { class: "nbx-name" } : {}),
        rest: h("span", { class: "nbx-faint" }),
        more: h("span", { class: "nbx-more", "aria-hidden": "true", title: "Actions" }, "⋯"),
        depth: -1,
      };
      fill(cell.element);
      const { indent, fold, box, name, rest, more } = parts;
      add(cell.element, line.kind === "row" ? [indent, fold, box, name, rest, more] : [fold, name, rest]);
      cell.parts = parts;
    }
    const { parts } = cell;
    say(parts.fold, line.folded === null ? "" : line.folded ? "▸" : "▾");
    if (line.kind === "group") {
      say(parts.name, line.label);
      say(parts.rest, ` ${line.rows.length}`);
      return;
    }
    const { row } = line;
    if (parts.depth !== line.depth) parts.indent.style.width = `${16 * (parts.depth = line.depth)}px`;
    say(parts.name, rowName(row));
    say(parts.rest, row.steps > 0 ? (row.steps === 1 ? " (1 step)" : ` (${row.steps} steps)`) : "");
    const isBare = row.kind === "workspace";
    if (parts.more.hidden !== isBare) parts.more.hidden = isBare;
  }

  private isBest(row: Row, placed: Placed): boolean {
    const value = row.values[placed.at];
    return typeof value === "number" && row.kind !== "workspace" && this.table.extent(placed.at)?.best === value;
  }

  private mean(rows: readonly Row[], placed: Placed): ReturnType<typeof statistic> {
    return placed.numeric && (placed.column as Column).kind === "metric" ? statistic(rows, placed.at) : null;
  }

  /** Put what a cell says in full into its title. */
  private tell(target: HTMLElement): void {
    const element = target.closest<HTMLElement>(".nbx-body .nbx-cell");
    const [line] = element === null ? [undefined] : this.under(element);
    const placed = this.placed[Number(element?.getAttribute("aria-colindex")) - 1];
    if (element === null || line === undefined || placed === undefined) return;
    const title = harmless(this.title(line, placed));
    if (element.title !== title) element.title = title;
  }

  private title(line: Line, placed: Placed): string {
    if (line.kind === "group") {
      if (placed.column.id === "name") return line.label;
      const found = this.mean(line.rows, placed);
      return found === null ? "" : `mean${found.std === null ? "" : " ± sample deviation"} of ${found.n}`;
    }
    const { row } = line;
    if (placed.column.id === "name") return row.error ?? (row.rev === "workspace" ? "" : row.rev);
    if (placed.at < 0) return placed.column.id === "created" ? moment(row.created) : "";
    const value = row.values[placed.at];
    if (value instanceof Special) return value.text;
    if (this.isBest(row, placed)) return `best ${placed.column.title}: ${String(value)}`;
    return typeof value === "number" ? String(value) : cellText(value, (placed.column as Column).whole);
  }

  /** Whether a param is what its baseline has: what differs is to be seen first. */
  private isAsBaseline(row: Row, placed: Placed, value: Value): boolean {
    if ((placed.column as Column).kind !== "param" || row.baseline === undefined) return false;
    const base = this.table.byId.get(row.baseline);
    return base !== undefined && base.values[placed.at] === value;
  }

  private markRow(one: Drawn, line: Line): void {
    const { element } = one;
    const isChosen = line.kind === "row" ? this.selected.has(line.row.id) : line.rows.every((row) => this.selected.has(row.id));
    let classes = "nbx-row";
    if (isChosen) classes += " nbx-chosen";
    if (line.kind === "group") classes += " nbx-group";
    else if (line.row.kind === "baseline" || line.row.kind === "workspace") classes += " nbx-base";
    if (one.classes !== classes) element.className = one.classes = classes;
    const chosen = String(isChosen);
    if (one.chosen !== chosen) element.setAttribute("aria-selected", (one.chosen = chosen));
    const expanded = line.folded === null ? "" : String(!line.folded);
    if (one.expanded !== expanded) {
      one.expanded = expanded;
      if (expanded === "") element.removeAttribute("aria-expanded");
      else element.setAttribute("aria-expanded", expanded);
    }
    const id = line.kind === "row" ? line.row.id : "";
    if (one.row !== id) {
      one.row = id;
      if (id === "") delete element.dataset["row"];
      else element.dataset["row"] = id;
    }
    const box = one.cells.get(0)?.parts?.box;
    if (box && box.checked !== isChosen) box.checked = isChosen;
  }

  // ---- what users do

  private click(event: MouseEvent): void {
    const target = event.target as HTMLElement;
    const head = target.closest<HTMLElement>("[role=columnheader]");
    if (head) {
      if (!target.closest(".nbx-grip")) this.acts.sort(head.dataset["column"] as string, event.shiftKey);
      return;
    }
    const [line, index] = this.under(target);
    if (line === undefined) return;
    this.active.row = index;
    const cell = target.closest(".nbx-cell");
    if (cell) this.active.column = Number(cell.getAttribute("aria-colindex")) - 1;
    this.mark();
    if (target.closest(".nbx-fold")?.textContent) {
      this.acts.fold(line.kind === "group" ? line.id : line.row.id);
    } else if (target.closest(".nbx-more") && line.kind === "row") {
      this.acts.menu(line.row, target.getBoundingClientRect());
    } else if (line.kind === "group") {
      this.acts.fold(line.id);
    } else {
      this.acts.toggle([line.row], event.shiftKey);
    }
  }

  private context(event: MouseEvent): void {
    const target = event.target as HTMLElement;
    const head = target.closest<HTMLElement>("[role=columnheader]");
    const [line, index] = this.under(target);
    if (!head && (line === undefined || line.kind === "group")) return;
    event.preventDefault();
    event.stopPropagation();
    if (head) {
      const found = this.placed.find((one) => one.column.id === head.dataset["column"]);
      if (found) this.acts.columnMenu(found.column, head.getBoundingClientRect());
    } else if (line?.kind === "row") {
      this.active.row = index;
      this.mark();
      this.acts.menu(line.row, new DOMRect(event.clientX, event.clientY, 0, 0));
    }
  }

  private under(target: HTMLElement): [Line | undefined, number] {
    const element = target.closest<HTMLElement>(".nbx-row");
    const index = Number(element?.dataset["index"] ?? NaN);
    return [this.arranged.lines[index], index];
  }

  private key(event: KeyboardEvent): void {
    if (event.target !== this.element) return;
    const { row, column } = this.active;
    const lines = this.arranged.lines;
    const line = lines[row];
    const page = Math.max(1, Math.floor(this.element.clientHeight / ROW) - 2);
    const isFoldable = line !== undefined && line.folded !== null && column === 0;
    const id = line === undefined ? "" : line.kind === "group" ? line.id : line.row.id;
    const isMenu = event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey);
    if (event.key === "ArrowDown") this.go(row + 1, column, event.shiftKey);
    else if (event.key === "ArrowUp") this.go(row - 1, column, event.shiftKey);
    else if (event.key === "ArrowRight" && isFoldable && line.folded) this.acts.fold(id);
    else if (event.key === "ArrowLeft" && isFoldable && !line.folded) this.acts.fold(id);
    else if (event.key === "ArrowRight") this.go(row, column + 1);
    else if (event.key === "ArrowLeft") this.go(row, column - 1);
    else if (event.key === "PageDown") this.go(row + page, column);
    else if (event.key === "PageUp") this.go(Math.max(0, row - page), column);
    else if (event.key === "Home") this.go(event.ctrlKey ? 0 : row, 0);
    else if (event.key === "End") this.go(event.ctrlKey ? lines.length - 1 : row, this.placed.length - 1);
    else if ((event.key === "Enter" || isMenu) && row < 0) {
      const found = this.placed[column];
      if (found && isMenu) this.acts.columnMenu(found.column, this.at());
      else if (found) this.acts.sort(found.column.id, event.shiftKey);
    } else if ((event.key === "Enter" || isMenu) && line?.kind === "row") this.acts.menu(line.row, this.at());
    else if (event.key === "Enter" && line?.kind === "group") this.acts.fold(line.id);
    else if (event.key === " " && line !== undefined) this.acts.toggle(line.kind === "row" ? [line.row] : line.rows, false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private at(): DOMRect {
    const cell = document.getElementById(this.element.getAttribute("aria-activedescendant") ?? "");
    return (cell ?? this.element).getBoundingClientRect();
  }

  private go(row: number, column: number, isRange = false): void {
    const lines = this.arranged.lines;
    this.active.row = Math.max(-1, Math.min(lines.length - 1, row));
    this.active.column = Math.max(0, Math.min(this.placed.length - 1, column));
    const box = this.element;
    if (this.active.row >= 0) {
      const top = this.active.row * ROW;
      if (top < box.scrollTop) box.scrollTop = top;
      else if (top + ROW + HEAD > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW + HEAD - box.clientHeight;
    }
    const placed = this.placed[this.active.column];
    if (placed && !placed.pinned) {
      if (placed.left < box.scrollLeft + this.pinnedWidth) box.scrollLeft = placed.left - this.pinnedWidth;
      else if (placed.left + placed.width > box.scrollLeft + box.clientWidth) box.scrollLeft = placed.left + placed.width - box.clientWidth;
    }
    this.draw();
    const line = lines[this.active.row];
    if (isRange && line?.kind === "row") this.acts.toggle([line.row], true);
  }

  /** Show which cell the arrows have reached; it alone has an id, by which the grid points to it. */
  private mark(): void {
    const { row, column } = this.active;
    const cell = row < 0 ? this.heads.get(column) : this.drawn.get(row)?.cells.get(column)?.element;
    const id = row < 0 ? `${this.id}-h-${column}` : `${this.id}-${row}-${column}`;
    const old = this.activeCell;
    if (old !== null && old !== cell) {
      old.classList.remove("nbx-active");
      if (old.getAttribute("role") !== "columnheader") old.removeAttribute("id");
    }
    this.activeCell = cell ?? null;
    if (cell === undefined) {
      if (this.element.hasAttribute("aria-activedescendant")) this.element.removeAttribute("aria-activedescendant");
      return;
    }
    // Its classes are written anew whenever it says something else.
    cell.classList.add("nbx-active");
    if (cell.id !== id) cell.id = id;
    if (this.element.getAttribute("aria-activedescendant") !== id) this.element.setAttribute("aria-activedescendant", id);
  }

  private resize(event: PointerEvent, placed: Placed): void {
    event.preventDefault();
    event.stopPropagation();
    const grip = event.target as HTMLElement;
    grip.setPointerCapture(event.pointerId);
    const start = event.clientX;
    grip.onpointerup = (end: PointerEvent) => {
      grip.onpointerup = null;
      this.acts.widen(placed.column.id, Math.max(LEAST, placed.width + end.clientX - start));
    };
  }
}

function newCell(): Cell {
  const text = document.createTextNode("");
  return { element: h("div", { class: "nbx-cell" }, text), text, placed: null, classes: "nbx-cell", heat: "", parts: null };
}

function write(cell: Cell, said: string): void {
  const text = harmless(said);
  if (cell.text.data !== text) cell.text.data = text;
}

function say(element: HTMLElement, said: string): void {
  const text = harmless(said);
  if (element.textContent !== text) element.textContent = text;
}
