// The table on the page: only the rows and columns that are in view are elements, and these are used again.
// One element has the focus; which cell the arrows have reached is `aria-activedescendant`.

import { Special, type Value } from "../shared/columns.ts";
import { add, fill, framed, fresh, h } from "../shared/dom.ts";
import { cellText, clock, general, moment } from "../shared/format.ts";
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
  readonly column: Column | Own;
  readonly at: number;
  readonly pinned: boolean;
  readonly width: number;
  readonly left: number;
  readonly numeric: boolean;
}

interface Drawn {
  readonly element: HTMLElement;
  readonly spacer: HTMLElement;
  cells: HTMLElement[];
  index: number;
  isStale: boolean;
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
  private drawn: Drawn[] = [];
  private arranged: Arranged = { lines: [], rows: [], shown: 0, total: 0, error: null };
  private view: View | null = null;
  private selected: ReadonlySet<string> = new Set();
  /** The cell that the arrows have reached; row -1 is the head. */
  private active = { row: 0, column: 0 };
  private headFrom = -1;
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
      },
      this.canvas,
    );
    this.sizes = new ResizeObserver(() => this.redraw());
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
    this.empty.hidden = arranged.lines.length > 0;
    fill(this.empty, view.where ? "No row passes the filter." : "No experiments yet.");
    for (const one of this.drawn) one.isStale = true;
    this.headFrom = -1;
    this.draw();
  }

  /** Which rows are chosen; what is drawn else stays. */
  choose(selected: ReadonlySet<string>): void {
    this.selected = selected;
    for (const one of this.drawn) {
      const line = this.arranged.lines[one.index];
      if (line !== undefined) this.markRow(one.element, line);
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
    this.placed = shownColumns(this.table, view).map(({ column, pinned }) => {
      const at = this.table.place(column.id);
      const width = view.widths[column.id] ?? this.fitting(column, at);
      const numeric = at >= 0 && this.isNumeric(at);
      const found = { column, at, pinned, width, left, numeric };
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
    const { scrollTop, scrollLeft, clientHeight, clientWidth } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - MARGIN);
    const last = Math.min(this.arranged.lines.length, Math.ceil((scrollTop + clientHeight - HEAD) / ROW) + MARGIN);
    const [from, to] = this.window(scrollLeft, clientWidth);
    const columns = [...this.placed.filter((one) => one.pinned), ...this.placed.slice(from, to)];
    const spare = (this.placed[from]?.left ?? this.pinnedWidth) - this.pinnedWidth;
    if (this.headFrom !== from * 10_000 + to) {
      this.headFrom = from * 10_000 + to;
      this.drawHead(columns, spare, view);
      for (const one of this.drawn) one.isStale = true;
    }
    // Elements of rows that left are given to those that came.
    const wanted = new Set<number>();
    for (let index = first; index < last; index += 1) wanted.add(index);
    const free: Drawn[] = [];
    for (const one of this.drawn) {
      if (wanted.has(one.index)) {
        wanted.delete(one.index);
        // A row that stays keeps its element: what is about to be clicked must not become another row.
        if (one.isStale) this.drawRow(one, columns, spare, view);
      } else free.push(one);
    }
    for (const index of wanted) {
      const one = free.pop() ?? this.made();
      one.index = index;
      this.drawRow(one, columns, spare, view);
    }
    for (const one of free) one.element.remove();
    if (free.length > 0) this.drawn = this.drawn.filter((one) => !free.includes(one));
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
    const spacer = h("div", { class: "nbx-spacer", role: "presentation" });
    element.append(spacer);
    this.body.append(element);
    const one: Drawn = { element, spacer, cells: [], index: -1, isStale: true };
    this.drawn.push(one);
    return one;
  }

  private drawHead(columns: readonly Placed[], spare: number, view: View): void {
    this.head.replaceChildren();
    for (const one of columns) {
      const { column } = one;
      const place = view.sort.findIndex((sort) => sort.column === column.id);
      const sort = place < 0 ? null : view.sort[place]!;
      const words = sort === null ? "none" : sort.down ? "descending" : "ascending";
      const better = "better" in column ? (column.better === "higher" ? " ↑" : column.better === "lower" ? " ↓" : "") : "";
      const cell = h(
        "div",
        {
          class: `nbx-cell${one.numeric ? " nbx-number" : ""}${one.pinned ? " nbx-pinned" : ""}`,
          role: "columnheader",
          "aria-sort": words,
          "aria-colindex": this.placed.indexOf(one) + 1,
          id: `${this.id}-h-${this.placed.indexOf(one)}`,
          style: `width:${one.width}px;${one.pinned ? `left:${one.left}px` : ""}`,
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
      this.head.append(cell);
      if (one.pinned && one === columns.filter((other) => other.pinned).at(-1)) {
        this.head.append(h("div", { class: "nbx-spacer", role: "presentation", style: `width:${spare}px` }));
      }
    }
  }

  private drawRow(one: Drawn, columns: readonly Placed[], spare: number, view: View): void {
    const line = this.arranged.lines[one.index] as Line;
    const { element } = one;
    one.isStale = false;
    element.style.transform = `translateY(${one.index * ROW}px)`;
    element.setAttribute("aria-rowindex", String(one.index + 2));
    element.dataset["index"] = String(one.index);
    element.className = "nbx-row";
    while (one.cells.length < columns.length) {
      const cell = h("div", { class: "nbx-cell" });
      one.cells.push(cell);
      element.append(cell);
    }
    const pinned = columns.filter((placed) => placed.pinned).length;
    one.cells.forEach((cell, at) => {
      const placed = columns[at];
      cell.hidden = placed === undefined;
      if (placed === undefined) return;
      if (at === pinned) cell.before(one.spacer);
      cell.style.width = `${placed.width}px`;
      cell.style.left = placed.pinned ? `${placed.left}px` : "";
      const place = this.placed.indexOf(placed);
      cell.id = `${this.id}-${one.index}-${place}`;
      cell.setAttribute("aria-colindex", String(place + 1));
      cell.setAttribute("role", placed.column.id === "name" ? "rowheader" : "gridcell");
      this.drawCell(cell, line, placed, view);
    });
    if (columns.length === pinned) element.append(one.spacer);
    one.spacer.style.width = `${spare}px`;
    this.markRow(element, line);
  }

  private drawCell(cell: HTMLElement, line: Line, placed: Placed, view: View): void {
    let classes = "nbx-cell";
    if (placed.pinned) classes += " nbx-pinned";
    let heat = "";
    let title = "";
    if (line.kind === "group") {
      if (placed.column.id === "name") {
        fill(cell, h("span", { class: "nbx-fold", "aria-hidden": "true" }, line.folded ? "▸" : "▾"), line.label, h("span", { class: "nbx-faint" }, ` ${line.rows.length}`));
        title = line.label;
      } else {
        const found = placed.numeric && (placed.column as Column).kind === "metric" ? statistic(line.rows, placed.at) : null;
        fill(cell, found && general(found.mean) + (found.std === null ? "" : ` ± ${general(found.std, 2)}`));
        if (found) title = `mean${found.std === null ? "" : " ± sample deviation"} of ${found.n}`;
        classes += placed.numeric ? " nbx-number" : "";
      }
    } else {
      const { row } = line;
      if (placed.column.id === "name") {
        cell.replaceChildren();
        const indent = h("span", { class: "nbx-indent", style: `width:${line.depth * 16}px` });
        const box = h("input", { type: "checkbox", class: "nbx-check", tabindex: -1, "aria-hidden": "true" });
        box.checked = this.selected.has(row.id);
        add(cell, [
          indent,
          line.folded === null ? h("span", { class: "nbx-fold" }) : h("span", { class: "nbx-fold", "aria-hidden": "true" }, line.folded ? "▸" : "▾"),
          box,
          h("span", { class: "nbx-name" }, rowName(row)),
          row.steps > 0 && h("span", { class: "nbx-faint" }, row.steps === 1 ? " (1 step)" : ` (${row.steps} steps)`),
          row.kind !== "workspace" && h("span", { class: "nbx-more", "aria-hidden": "true", title: "Actions" }, "⋯"),
        ]);
        title = row.error ?? (row.kind === "workspace" ? "" : row.rev);
      } else if (placed.at < 0) {
        cell.textContent = this.ownText(row, placed.column.id);
        title = placed.column.id === "created" ? moment(row.created) : "";
      } else {
        const value = row.values[placed.at];
        const text = cellText(value, (placed.column as Column).whole);
        const extent = typeof value === "number" ? this.table.extent(placed.at) : null;
        const isBest = extent !== null && extent.best === value && row.kind !== "workspace";
        cell.textContent = isBest ? `★ ${text}` : text;
        if (isBest) classes += " nbx-best";
        if (value instanceof Special) title = value.text;
        else if (isBest) title = `best ${placed.column.title}: ${String(value)}`;
        else title = typeof value === "number" ? String(value) : text;
        if (placed.numeric) classes += " nbx-number";
        if (this.isAsBaseline(row, placed, value)) classes += " nbx-faint";
        if (view.colours && extent !== null && typeof value === "number") {
          const share = (value - extent.low) / (extent.high - extent.low);
          const good = (placed.column as Column).better === "lower" ? 1 - share : share;
          heat = `${Math.round(4 + 34 * good)}%`;
          classes += " nbx-heat";
        }
      }
    }
    cell.className = classes;
    cell.title = title;
    cell.style.setProperty("--nbx-share", heat);
  }

  /** Whether a param is what its baseline has: what differs is to be seen first. */
  private isAsBaseline(row: Row, placed: Placed, value: Value): boolean {
    if ((placed.column as Column).kind !== "param" || row.baseline === undefined) return false;
    const base = this.table.byId.get(row.baseline);
    return base !== undefined && base.values[placed.at] === value;
  }

  private markRow(element: HTMLElement, line: Line): void {
    const isChosen = line.kind === "row" ? this.selected.has(line.row.id) : line.rows.every((row) => this.selected.has(row.id));
    element.setAttribute("aria-selected", String(isChosen));
    element.classList.toggle("nbx-chosen", isChosen);
    element.classList.toggle("nbx-group", line.kind === "group");
    element.classList.toggle("nbx-base", line.kind === "row" && (line.row.kind === "baseline" || line.row.kind === "workspace"));
    if (line.folded === null) element.removeAttribute("aria-expanded");
    else element.setAttribute("aria-expanded", String(!line.folded));
    if (line.kind === "row") element.dataset["row"] = line.row.id;
    else delete element.dataset["row"];
    const box = element.querySelector<HTMLInputElement>(".nbx-check");
    if (box) box.checked = isChosen;
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

  private mark(): void {
    const { row, column } = this.active;
    const id = row < 0 ? `${this.id}-h-${column}` : `${this.id}-${row}-${column}`;
    for (const old of this.element.querySelectorAll(".nbx-active")) old.classList.remove("nbx-active");
    const cell = document.getElementById(id);
    cell?.classList.add("nbx-active");
    if (cell) this.element.setAttribute("aria-activedescendant", id);
    else this.element.removeAttribute("aria-activedescendant");
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
