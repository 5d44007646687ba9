// The queue as a panel: what waits and runs, the stages, curves and log of one task, and what one does about it.
// It keeps what the kernel sent, draws at most once in a frame, and says when the kernel is silent, or busy with a cell.

import { add, fill, framed, h } from "../shared/dom.ts";
import { harmless } from "../shared/format.ts";
import { greet } from "../shared/greeting.ts";
import { chart, graph, kindOf, MAX_LINES, type Line } from "./drawing.ts";
import { brief, clock, State, type Message, type Request, type Row } from "./model.ts";
import "../shared/theme.css";
import "./style.css";

interface Model {
  get(name: string): unknown;
  send(content: unknown): void;
  on(event: string, hear: (content: Message, buffers: DataView[]) => void): void;
  off(event: string, hear?: (content: Message, buffers: DataView[]) => void): void;
}

const MARKS: Readonly<Record<string, string>> = {
  queued: "…", running: "▶", recording: "▶", stopping: "■", done: "✓", failed: "✗", cancelled: "■", interrupted: "■", pruned: "✂",
};
const SHOWN_MS = 8000; // what was done, and an alert
const WAITS_MS = 400; // for the kernel, before it is said that it waits

/** What is known, and who wants to hear of news; one for each model, whoever looks at it. */
interface Kept {
  readonly state: State;
  readonly views: Set<() => void>;
}
const kept = new Map<string, Kept>();

function keep(model: Model): Kept {
  const id = String(model.get("static"));
  const found = kept.get(id);
  if (found !== undefined) return found;
  const made: Kept = { state: new State(model.get("start") as Message), views: new Set() };
  kept.set(id, made);
  return made;
}

function initialize({ model }: { model: Model }): () => void {
  const { state, views } = keep(model);
  const hear = (content: Message, buffers: DataView[]): void => {
    state.take(content, buffers);
    for (const draw of views) draw();
  };
  model.on("msg:custom", hear);
  return () => {
    model.off("msg:custom", hear);
    kept.delete(String(model.get("static")));
  };
}

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const { state, views } = keep(model);
  const view = new View(el, state, (content) => model.send(content));
  views.add(view.draw);
  const id = Math.random().toString(36).slice(2);
  const leave = greet(() => model.send({ kind: "hello", view: id }), () => state.views.includes(id));
  // The picture that stays is beside the panel; while the panel works, it would say everything twice.
  const hidden = h("style", {}, `[data-nbexp-static="${CSS.escape(String(model.get("static")))}"]{display:none}`);
  document.head.append(hidden);
  return () => {
    views.delete(view.draw);
    view.end();
    hidden.remove();
    leave();
    model.send({ kind: "bye", view: id });
  };
}

interface Line_ {
  readonly element: HTMLTableRowElement;
  readonly name: HTMLButtonElement;
  readonly cells: Readonly<Record<string, HTMLElement>>;
}

class View {
  private readonly lines = new Map<string, Line_>();
  private chosen: string | undefined;
  private readonly asked = new Set<string>();
  private readonly clock: ReturnType<typeof setInterval>;
  private isFollowing = true;
  private isTyped = false;

  private readonly counts = h("p", { class: "nbq-counts", role: "status", "aria-live": "polite" });
  private readonly link = h("span", { class: "nbq-link", role: "status" });
  private readonly jobs = h("input", { type: "number", min: 1, max: 64, value: 1, class: "nbq-jobs", "aria-label": "How many workers" });
  private readonly start = h("button", { type: "button", onclick: () => this.do("start", "start workers") }, "Start");
  private readonly pause = h("button", { type: "button", onclick: () => this.pauseOrGoOn() }, "Pause");
  private readonly stopAll = h("button", { type: "button", onclick: () => this.do("stop-all", "stop all that runs") }, "Stop all");
  private readonly requests = h("div", { class: "nbq-requests", role: "status", "aria-live": "polite" });
  private readonly alerts = h("div", { class: "nbq-alerts", role: "alert" });
  private readonly body = h("tbody");
  private readonly more = h("p", { class: "nbx-faint" });
  private readonly table: HTMLElement;
  private readonly title = h("h3", { class: "nbq-title" });
  private readonly about = h("p", { class: "nbx-faint nbq-about" });
  private readonly stop = h("button", { type: "button", onclick: () => this.doIt("stop") }, "Stop");
  private readonly retry = h("button", { type: "button", onclick: () => this.doIt("retry") }, "Retry");
  private readonly remove = h("button", { type: "button", onclick: () => this.doIt("remove") }, "Remove");
  private readonly picture = h("div", { class: "nbq-picture" });
  private readonly charts = h("div", { class: "nbq-charts" });
  private readonly legend = h("p", { class: "nbq-legend", "aria-hidden": "true" });
  private readonly log = h("pre", { class: "nbq-log", tabindex: 0, "aria-label": "The end of the log" });
  private readonly detail: HTMLElement;
  private drawnLog: Text | undefined;
  private drawnLogOf = "";

  constructor(
    el: HTMLElement,
    private readonly state: State,
    private readonly send: (content: unknown) => void,
  ) {
    el.classList.add("nbexp-panel", "nbq");
    el.setAttribute("role", "region");
    el.setAttribute("aria-label", "The queue");
    const heads = ["name", "state", "stage", "progress", "values", "elapsed"];
    this.table = h("div", { class: "nbq-scroll", tabindex: 0, role: "group", "aria-label": "Tasks", onkeydown: (event: KeyboardEvent) => this.key(event) },
      h("table", { class: "nbq-table" },
        h("thead", {}, h("tr", {}, ...heads.map((name) => h("th", { scope: "col", class: `nbq-${name}` }, name)))),
        this.body));
    this.log.addEventListener("scroll", () => {
      this.isFollowing = this.log.scrollTop + this.log.clientHeight >= this.log.scrollHeight - 8;
    });
    this.detail = h("section", { class: "nbq-detail", "aria-label": "The chosen task" },
      h("div", { class: "nbq-head" }, this.title, this.stop, this.retry, this.remove),
      this.about, this.picture, this.charts, this.legend, this.log);
    add(el, [
      h("div", { class: "nbq-bar" },
        h("label", { class: "nbq-label" }, "Workers ", this.jobs), this.start, this.pause, this.stopAll, this.link),
      this.counts, this.alerts, this.requests, this.table, this.more, this.detail,
    ]);
    this.jobs.addEventListener("input", () => { this.isTyped = true; });
    this.jobs.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.do("start", "start workers");
    });
    this.clock = setInterval(this.draw, 500);
    this.redraw();
  }

  /** Draw what changed, in the next frame. */
  readonly draw = framed(() => this.redraw());

  end(): void {
    clearInterval(this.clock);
  }

  // ---- what is asked for

  private do(what: string, words: string, uid = "", count = Number(this.jobs.value)): void {
    const jobs = Math.max(1, Math.round(count || 1));
    const said = what === "start" ? `start ${jobs} worker${jobs === 1 ? "" : "s"}` : words;
    const id = this.state.ask(said);
    this.send({ kind: "do", id, what, uid, jobs });
    this.draw();
    setTimeout(this.draw, WAITS_MS + 20);
  }

  private doIt(what: string): void {
    const row = this.chosenRow();
    if (row !== undefined) this.do(what, `${what} ${row[1].name}`, row[0]);
  }

  private pauseOrGoOn(): void {
    // As many workers as there are: none of them is sent away.
    if (this.state.isPaused) this.do("start", "go on", "", this.state.workers.length);
    else this.do("pause", "pause");
  }

  private chosenRow(): [string, Row] | undefined {
    const uid = this.chosen !== undefined && this.state.rows.has(this.chosen) ? this.chosen : this.state.first;
    const row = uid === undefined ? undefined : this.state.rows.get(uid);
    return uid === undefined || row === undefined ? undefined : [uid, row];
  }

  private choose(uid: string): void {
    this.chosen = uid;
    this.isFollowing = true;
    const isKnown = this.state.stages.has(uid) || this.state.rows.get(uid)?.state === "queued";
    if (!isKnown && !this.asked.has(uid)) {
      this.asked.add(uid);
      this.send({ kind: "look", uid });
    }
    this.draw();
  }

  private key(event: KeyboardEvent): void {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const at = this.state.order.indexOf(this.chosenRow()?.[0] ?? "");
    const uid = this.state.order[Math.min(this.state.order.length - 1, Math.max(0, at + step))];
    if (uid === undefined) return;
    this.choose(uid);
    this.lines.get(uid)?.name.focus();
    this.lines.get(uid)?.element.scrollIntoView({ block: "nearest" });
  }

  // ---- what is seen

  private redraw(): void {
    this.drawBar();
    this.drawRequests();
    this.drawRows();
    this.drawDetail();
  }

  private drawBar(): void {
    const { counts, workers, isPaused, isCutOff, isBusy, error } = this.state;
    const busy = workers.filter((one) => one.task !== null).length;
    const going = workers.filter((one) => one.stops).length;
    const others = ["cancelled", "interrupted", "pruned"].filter((name) => (counts[name] ?? 0) > 0);
    const parts = [
      `workers ${busy} busy, ${workers.length - busy} idle${going > 0 ? `, ${going} leaving` : ""}`,
      `waiting ${counts["queued"] ?? 0}`, `running ${counts["running"] ?? 0}`, `done ${counts["done"] ?? 0}`, `failed ${counts["failed"] ?? 0}`,
      ...others.map((name) => `${name} ${counts[name]}`),
      ...(isPaused ? ["paused"] : []),
    ];
    put(this.counts, parts.join(" · "));
    if (!this.isTyped && workers.length > 0) this.jobs.value = String(workers.length);
    put(this.pause, isPaused ? "Go on" : "Pause");
    const words = isCutOff
      ? "⚠ disconnected: the kernel does not answer. Tasks go on; run the cell again to follow them."
      : error !== "" ? `⚠ ${error}` : isBusy ? "● live · a cell runs" : "● live";
    put(this.link, words);
    this.link.classList.toggle("nbq-cut-off", isCutOff || error !== "");
    for (const one of [this.start, this.pause, this.stopAll, this.stop, this.retry, this.remove]) {
      one.toggleAttribute("data-cut-off", isCutOff);
    }
    this.start.disabled = this.pause.disabled = isCutOff;
    this.stopAll.disabled = isCutOff || (counts["running"] ?? 0) === 0;
  }

  private drawRequests(): void {
    const now = performance.now();
    this.state.requests = this.state.requests.filter((one) => one.state !== "done" || now - one.at < SHOWN_MS);
    const shown = this.state.requests.filter((one) => one.state !== "asked" || now - one.at > WAITS_MS);
    const lines = shown.map((one) => `${one.state}|${this.words(one)}`);
    if (this.requests.dataset["shown"] !== lines.join("\n")) {
      this.requests.dataset["shown"] = lines.join("\n");
      fill(this.requests, ...shown.map((one) => h("p", { class: `nbq-request nbq-${one.state}` }, this.words(one), this.closing(one))));
    }
    const alerts = this.state.alerts.filter((one) => now - one.at < SHOWN_MS * 2);
    this.state.alerts = alerts;
    const ids = alerts.map((one) => one.id).join();
    if (this.alerts.dataset["shown"] !== ids) {
      this.alerts.dataset["shown"] = ids;
      fill(this.alerts, ...alerts.map((one) =>
        h("p", { class: "nbq-alert" }, h("b", {}, "alert "), one.text, h("button", {
          type: "button", "aria-label": "Close this alert", onclick: () => {
            this.state.alerts = this.state.alerts.filter((other) => other !== one);
            this.draw();
          },
        }, "×"))));
    }
  }

  private words(one: Request): string {
    if (one.state === "asked") {
      return this.state.isCutOff
        ? `${one.words}: the kernel does not answer`
        : `${one.words}: waits for the kernel; it takes effect when the cell that runs is done`;
    }
    if (one.state === "taken") return `${one.words}: under way`;
    return one.state === "failed" ? `${one.words}: ✗ ${one.text}` : `✓ ${one.text || one.words}`;
  }

  private closing(one: Request): HTMLElement | null {
    if (one.state !== "failed") return null;
    return h("button", {
      type: "button", "aria-label": "Close this message", onclick: () => {
        this.state.requests = this.state.requests.filter((other) => other !== one);
        this.draw();
      },
    }, "×");
  }

  private drawRows(): void {
    const { order, rows, more } = this.state;
    const chosen = this.chosenRow()?.[0];
    for (const [uid, line] of this.lines) {
      if (rows.has(uid)) continue;
      line.element.remove();
      this.lines.delete(uid);
    }
    order.forEach((uid, place) => {
      const row = rows.get(uid);
      if (row === undefined) return;
      const line = this.lines.get(uid) ?? this.line(uid);
      put(line.name, row.name);
      put(line.cells["state"], `${MARKS[row.state] ?? ""} ${row.state}`);
      put(line.cells["stage"], row.stage);
      put(line.cells["progress"], row.progress);
      put(line.cells["values"], row.values);
      put(line.cells["elapsed"], clock(this.state.elapsed(uid)));
      line.element.dataset["state"] = row.state;
      const title = harmless(row.error === "" ? row.given : row.error);
      if (line.element.title !== title) line.element.title = title;
      const isChosen = uid === chosen;
      line.element.classList.toggle("nbq-chosen", isChosen);
      line.name.setAttribute("aria-pressed", String(isChosen));
      line.name.tabIndex = isChosen ? 0 : -1;
      // What has the focus keeps it: only a row that stands elsewhere is moved.
      if (this.body.children[place] !== line.element) this.body.insertBefore(line.element, this.body.children[place] ?? null);
    });
    this.table.hidden = order.length === 0;
    put(this.more, order.length === 0 ? "No experiment tasks in the queue." : more > 0 ? `and ${more} more` : "");
    this.more.hidden = order.length > 0 && more === 0;
    this.detail.hidden = order.length === 0;
  }

  private line(uid: string): Line_ {
    const name = h("button", { type: "button", class: "nbq-pick", onclick: () => this.choose(uid) });
    const cells = Object.fromEntries(["state", "stage", "progress", "values", "elapsed"].map((key) => [key, h("td", { class: `nbq-${key}` })]));
    const element = h("tr", { "data-uid": uid, onclick: () => this.choose(uid) }, h("th", { scope: "row", class: "nbq-name" }, name), ...Object.values(cells));
    const made = { element, name, cells };
    this.lines.set(uid, made);
    return made;
  }

  private drawDetail(): void {
    const found = this.chosenRow();
    if (found === undefined) return;
    const [uid, row] = found;
    const { isCutOff } = this.state;
    put(this.title, row.name);
    const said = [`${MARKS[row.state] ?? ""} ${row.state}`, row.given, row.attempt > 1 ? `attempt ${row.attempt}` : "", row.error];
    put(this.about, said.filter((one) => one !== "").join("   "));
    const isLive = ["queued", "running", "recording"].includes(row.state);
    const isOver = !isLive && row.state !== "stopping";
    this.stop.disabled = isCutOff || !isLive;
    this.retry.disabled = isCutOff || !isOver || row.state === "done";
    this.remove.disabled = isCutOff || !(isOver || row.state === "queued");
    this.drawGraph(uid, row);
    this.drawCharts(uid, row);
    this.drawLog(uid);
  }

  private drawGraph(uid: string, row: Row): void {
    const stages = this.state.stages.get(uid);
    if (stages === undefined) {
      fill(this.picture, h("p", { class: "nbx-faint" }, row.state === "queued" ? "Its stages are shown when it has begun." : ""));
      return;
    }
    // Redrawn whole, it is small; a kernel that is silent says nothing of how far a stage is.
    const now = this.state.isCutOff ? this.state.heardAt : performance.now();
    const drawn = graph(stages, now);
    const list = Object.entries(stages.states).map(([name, [state, seconds]]) => `${name} ${state}${seconds === null ? "" : ` ${brief(seconds)}`}`);
    fill(this.picture, drawn ?? h("p", {}, list.join(", ")));
  }

  private drawCharts(uid: string, row: Row): void {
    const running = (one: string): boolean => ["running", "recording"].includes(this.state.rows.get(one)?.state ?? "");
    const names = new Map<string, Line[]>();
    const all = [...this.state.curves.values()].filter((one) => one.steps.length > 0 && (one.uid === uid || running(one.uid)));
    all.sort((one, other) => Number(other.uid === uid) - Number(one.uid === uid));
    for (const curve of all) {
      const isChosen = curve.uid === uid;
      const label = isChosen ? row.name : (this.state.rows.get(curve.uid)?.name ?? "");
      const lines = names.get(curve.name) ?? [];
      if (isChosen || lines.length > 0) names.set(curve.name, [...lines, { curve, label, isChosen }]);
    }
    const shown = [...names].slice(0, 8);
    fill(this.charts, ...shown.map(([name, lines]) => chart(name, lines)));
    // Who is who, where a chart has more than one line; a chart says it in words, too.
    const most = shown.reduce<Line[]>((best, [, lines]) => (lines.length > best.length ? lines : best), []).slice(0, MAX_LINES);
    fill(this.legend, ...(most.length > 1 ? most : []).map((one, number) => h("span", { class: `nbq-key ${kindOf(one, number)}` }, one.label)));
  }

  private drawLog(uid: string): void {
    // What is drawn over next is as it is until then.
    const text = harmless((this.state.logs.get(uid) ?? "").replaceAll("\r", ""));
    this.log.hidden = text === "";
    if (this.drawnLogOf === uid && this.drawnLog?.data === text) return;
    if (this.drawnLogOf !== uid || this.drawnLog === undefined) {
      this.drawnLog = document.createTextNode(text);
      fill(this.log, this.drawnLog);
      this.drawnLogOf = uid;
      this.isFollowing = true;
    } else {
      this.drawnLog.data = text;
    }
    if (this.isFollowing) this.log.scrollTop = this.log.scrollHeight;
  }
}

/** Text of an element, written only where it is another: a screen reader reads what is written. */
function put(element: HTMLElement | undefined, said: string): void {
  const text = harmless(said);
  if (element !== undefined && element.textContent !== text) element.textContent = text;
}

export default { initialize, render };
