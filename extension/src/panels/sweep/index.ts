// The form of a sweep. It decides nothing: what is typed goes to the kernel as `answers`, and what these come to
// (values in words, what is to be mended, how many runs, the line) comes back as `told`.
import { harmless } from "../shared/format.ts";
import { greet } from "../shared/greeting.ts";
import "./style.css";

type How = "keep" | "values" | "range" | "interval" | "choices";

interface Field {
  name: string;
  kind: string;
  value: string;
  ways: How[];
  known: string[];
  example: string;
  problem: string | null;
}

interface Form {
  file: string;
  fields: Field[];
  metrics: { name: string; direction: string | null }[];
  samplers: { name: string; needs_metric: boolean; problem: string | null }[];
  optuna_samplers: string[];
  pruners: string[];
  seeds: string[];
}

interface Answer {
  how: How;
  values: string;
  start: string;
  stop: string;
  step: string;
  low: string;
  high: string;
  log: boolean;
  chosen: string[];
}

interface Answers {
  params: Record<string, Answer>;
  sampler: string;
  optuna: string;
  pruner: string;
  metric: string;
  direction: string;
  trials: string;
  repeat: string;
  seed_param: string;
  jobs: string;
  when: string;
  name: string;
  new: boolean;
}

interface Problem {
  where: string;
  message: string;
  hint: string | null;
  advice: boolean;
}

interface Told {
  phase: "asking" | "starting" | "running" | "over";
  line: string;
  problems: Problem[];
  params: Record<string, string>;
  summary: string;
  said: string;
  progress: { text: string; done: number; total: number } | null;
}

interface Model {
  get(name: "form"): Form;
  get(name: "answers"): Answers;
  get(name: "told"): Told;
  set(name: "answers", value: Answers): void;
  save_changes(): void;
  send(content: unknown): void;
  on(name: string, callback: (said: { say?: string }) => void): void;
  off(name: string, callback: (said: { say?: string }) => void): void;
}

const SAID: Record<How, string> = {
  keep: "keep it",
  values: "values",
  range: "a range",
  interval: "any between",
  choices: "choices",
};
// Fewer than this many params are found without a search.
const MANY = 10;
const PAUSE_MS = 150;
// How long the kernel may take to hear something, and how long it may be silent: it says every two seconds that it is there.
const HEARS_MS = 1000;
const SILENCE_MS = 6000;

let forms = 0;

function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  className = "",
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children.map((one) => (typeof one === "string" ? harmless(one) : one)));
  return made;
}

function blank(): Answer {
  return { how: "keep", values: "", start: "", stop: "", step: "", low: "", high: "", log: false, chosen: [] };
}

/** What shows the problems of one place, and marks the inputs that they are about. */
class Place {
  readonly node: HTMLElement;
  private readonly inputs: HTMLElement[] = [];

  constructor(id: string) {
    this.node = make("div", "nbexp-sweep-said");
    this.node.id = id;
  }

  about(...inputs: HTMLElement[]): void {
    for (const input of inputs) {
      input.setAttribute("aria-describedby", this.node.id);
      this.inputs.push(input);
    }
  }

  say(told: string, problems: Problem[]): void {
    const lines: HTMLElement[] = told ? [make("span", "nbexp-sweep-told", told)] : [];
    for (const one of problems) {
      const line = make("span", one.advice ? "nbexp-sweep-advice" : "nbexp-sweep-problem", one.message);
      if (one.hint) line.append(make("span", "nbexp-sweep-hint", ` Hint: ${one.hint}`));
      lines.push(line);
    }
    const before = this.node.textContent;
    const after = lines.map((line) => line.textContent).join("");
    if (before !== after) this.node.replaceChildren(...lines);
    const isWrong = problems.some((one) => !one.advice);
    for (const input of this.inputs) {
      if (isWrong) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
  }
}

class View {
  private readonly form: Form;
  private readonly answers: Answers;
  private readonly id = `nbexp-sweep-${++forms}`;
  private readonly places = new Map<string, Place>();
  private readonly rest: { node: HTMLElement; shown: () => boolean }[] = [];
  private timer = 0;

  private readonly asking = make("div", "nbexp-sweep-asking");
  private readonly whole = new Place(`${this.id}-whole`);
  private readonly summary = make("p", "nbexp-sweep-summary");
  private readonly line = make("code", "nbexp-sweep-line");
  private readonly copied = make("span", "nbexp-sweep-faint");
  private readonly copy = make("button", "", "Copy");
  private readonly start = make("button", "nbexp-sweep-main", "Start the sweep");
  private readonly running = make("div", "nbexp-sweep-running");
  private readonly bar = make("progress");
  private readonly course = make("span");
  private readonly stop = make("button", "", "Stop it");
  private readonly again = make("button", "", "Another sweep");
  private readonly link = make("p", "nbexp-sweep-link");
  private heardAt = performance.now();
  private askedAt: number | null = null;
  private readonly clock: number;
  private readonly leave: () => void;

  constructor(
    private readonly model: Model,
    private readonly root: HTMLElement,
  ) {
    this.form = model.get("form");
    this.answers = structuredClone(model.get("answers"));
    root.classList.add("nbexp-sweep");
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", `A sweep over ${this.form.file}`);
    this.build();
    // Keys belong to the form: in a notebook, `a` on a button would add a cell. A shortcut is looked for from the
    // control that has the focus, so that each has to say it.
    for (const control of root.querySelectorAll<HTMLElement>("input, select, button")) {
      control.dataset["lmSuppressShortcuts"] = "true";
    }
    this.clock = window.setInterval(() => this.look(), 500);
    this.leave = greet(() => this.ask({ do: "hello" }), () => this.askedAt === null);
    this.told();
  }

  // ---- whether there is a kernel

  /** What the kernel says besides what the answers come to: that it is there, or that it has heard something. */
  readonly heard = (said: { say?: string }): void => {
    this.heardAt = performance.now();
    if (said.say === "heard") this.askedAt = null;
    this.look();
  };

  private ask(content: { do: string }): void {
    this.askedAt ??= performance.now();
    this.model.send(content);
  }

  private look(): void {
    const now = performance.now();
    const isGone = now - this.heardAt > SILENCE_MS;
    const isBusy = this.askedAt !== null && now - this.askedAt > HEARS_MS;
    const words = isGone
      ? "⚠ disconnected: the kernel does not answer. A sweep that was started goes on; run the cell again for a form that works."
      : isBusy ? "The kernel is busy: what you enter is counted, and done, when the cell that runs is over." : "";
    if (this.link.textContent !== words) this.link.textContent = words;
    this.link.hidden = words === "";
    this.link.classList.toggle("nbexp-sweep-gone", isGone);
    if (isGone !== this.isGone) {
      this.isGone = isGone;
      this.told();
    }
  }

  private isGone = false;

  // ---- what is asked

  private build(): void {
    const params = make("div", "nbexp-sweep-params");
    for (const field of this.form.fields) params.append(this.param(field));
    if (this.form.fields.length > MANY) this.asking.append(this.search(params));
    this.asking.append(params, this.settings());

    for (const node of [this.summary, this.course, this.link]) {
      node.setAttribute("role", "status");
      node.setAttribute("aria-live", "polite");
    }
    this.copied.setAttribute("role", "status");
    for (const button of [this.copy, this.start, this.stop, this.again]) button.type = "button";
    this.copy.addEventListener("click", () => void this.copyLine());
    this.start.addEventListener("click", () => {
      this.send();
      this.ask({ do: "start" });
    });
    this.stop.addEventListener("click", () => this.ask({ do: "stop" }));
    this.again.addEventListener("click", () => this.ask({ do: "again" }));
    this.bar.setAttribute("aria-label", "runs that are over");
    this.running.append(this.bar, this.course, this.stop, this.again);
    const written = make("div", "nbexp-sweep-written", this.line, this.copy, this.copied);
    this.root.replaceChildren(
      this.link,
      this.asking,
      this.summary,
      this.whole.node,
      written,
      make("div", "nbexp-sweep-go", this.start),
      this.running,
    );
  }

  private param(field: Field): HTMLElement {
    const answer = (this.answers.params[field.name] ??= blank());
    const name = make("code", "nbexp-sweep-name", field.name);
    name.id = `${this.id}-${this.places.size}-name`;
    const row = make("div", "nbexp-sweep-param");
    row.dataset["name"] = field.name;
    row.setAttribute("role", "group");
    row.setAttribute("aria-labelledby", name.id);
    const now = make("span", "nbexp-sweep-faint", `${field.kind}, now `, make("code", "", field.value));
    const place = new Place(`${this.id}-${this.places.size}-said`);
    this.places.set(field.name, place);
    row.append(make("div", "nbexp-sweep-what", name, now));
    if (field.problem !== null) {
      row.append(make("div", "nbexp-sweep-inputs", make("span", "nbexp-sweep-faint", field.problem)));
      return row;
    }
    const how = this.select(
      field.ways.map((way) => [way, SAID[way], ""]),
      answer.how,
      (chosen) => (answer.how = chosen as How),
    );
    how.setAttribute("aria-label", `what becomes of ${field.name}`);
    const inputs = make("div", "nbexp-sweep-inputs", how);
    const parts: Record<How, HTMLElement[]> = {
      keep: [],
      values: [this.text("values", answer, "values", field.example, "wide")],
      range: [
        this.text("from", answer, "start", "0.1"),
        this.text("below", answer, "stop", "0.5"),
        this.text("step", answer, "step", "1"),
      ],
      interval: [
        this.text("from", answer, "low", "1e-4"),
        this.text("to", answer, "high", "0.1"),
        this.tick("by orders of magnitude", answer.log, (on) => (answer.log = on)),
      ],
      choices: field.known.map((value) =>
        this.tick(value, answer.chosen.includes(value), (on) => {
          answer.chosen = answer.chosen.filter((one) => one !== value);
          if (on) answer.chosen.push(value);
        }),
      ),
    };
    for (const way of field.ways) {
      for (const part of parts[way]) {
        inputs.append(part);
        this.rest.push({ node: part, shown: () => answer.how === way });
        place.about(...part.querySelectorAll("input"));
      }
    }
    row.append(inputs, place.node);
    return row;
  }

  private search(params: HTMLElement): HTMLElement {
    const input = make("input");
    input.type = "search";
    const count = make("span", "nbexp-sweep-faint");
    count.setAttribute("role", "status");
    input.addEventListener("input", () => {
      const typed = input.value.trim().toLowerCase();
      let shown = 0;
      for (const row of params.children as HTMLCollectionOf<HTMLElement>) {
        const name = row.dataset["name"] ?? "";
        const isKept = (this.answers.params[name]?.how ?? "keep") === "keep";
        row.hidden = isKept && !name.toLowerCase().includes(typed);
        if (!row.hidden) shown += 1;
      }
      count.textContent = typed ? `${shown} of ${params.children.length} params` : "";
    });
    return make("div", "nbexp-sweep-search", make("label", "", make("span", "", "find a param"), input), count);
  }

  private settings(): HTMLElement {
    const { answers, form } = this;
    const box = make("div", "nbexp-sweep-settings");
    const sampler = (): (typeof form.samplers)[number] | undefined =>
      form.samplers.find((one) => one.name === answers.sampler);
    const isNow = (): boolean => answers.when !== "queue";

    const part = (
      label: string,
      field: string,
      control: HTMLInputElement | HTMLSelectElement,
      shown: () => boolean = () => true,
    ): void => {
      const place = new Place(`${this.id}-${this.places.size}-said`);
      this.places.set(`:${field}`, place);
      place.about(control);
      const node = make("div", "nbexp-sweep-setting", make("label", "", make("span", "", label), control), place.node);
      this.rest.push({ node, shown });
      box.append(node);
    };
    const number = (field: "trials" | "repeat" | "jobs", placeholder: string): HTMLInputElement => {
      const input = this.input(answers, field, placeholder);
      input.inputMode = "numeric";
      input.className = "nbexp-sweep-short";
      return input;
    };

    part(
      "when",
      "when",
      this.select(
        [
          ["now", "run now, beside your files", ""],
          ["queue", "let it wait in the queue", ""],
        ],
        answers.when,
        (chosen) => (answers.when = chosen),
      ),
    );
    part(
      "sampler",
      "sampler",
      this.select(
        form.samplers.map((one) => [one.name, one.name === "grid" ? "grid: all of them" : one.name, one.problem ?? ""]),
        answers.sampler,
        (chosen) => (answers.sampler = chosen),
      ),
    );
    part("trials", "trials", number("trials", "20"), () => answers.sampler !== "grid");
    const known = make("datalist");
    known.id = `${this.id}-metrics`;
    for (const one of form.metrics) known.append(new Option(one.name));
    const metric = this.input(answers, "metric", form.metrics[0]?.name ?? "loss");
    metric.setAttribute("list", known.id);
    box.append(known);
    part("metric", "metric", metric, isNow);
    part(
      "which way",
      "direction",
      this.select(
        [
          ["", "as its name says", ""],
          ["minimize", "minimize", ""],
          ["maximize", "maximize", ""],
        ],
        answers.direction,
        (chosen) => (answers.direction = chosen),
      ),
      () => isNow() && answers.metric !== "",
    );
    const isOptuna = (): boolean => sampler()?.name === "optuna";
    const names = (from: string[]): [string, string, string][] => from.map((one) => [one, one, ""]);
    part(
      "Optuna's sampler",
      "optuna",
      this.select(names(form.optuna_samplers), answers.optuna, (chosen) => (answers.optuna = chosen)),
      isOptuna,
    );
    part(
      "pruner",
      "pruner",
      this.select(names(form.pruners), answers.pruner, (chosen) => (answers.pruner = chosen)),
      isOptuna,
    );
    part("runs of each point", "repeat", number("repeat", "1"));
    const whole = form.fields.filter((one) => one.problem === null && one.kind === "whole number");
    part(
      "its seed is",
      "seed_param",
      this.select(
        [
          ["", form.seeds.length === 1 ? `${form.seeds[0]}` : "choose a param", ""],
          ...whole.filter((one) => form.seeds.length !== 1 || one.name !== form.seeds[0]).map(
            (one): [string, string, string] => [one.name, one.name, ""],
          ),
        ],
        answers.seed_param,
        (chosen) => (answers.seed_param = chosen),
      ),
      () => answers.repeat.trim() !== "1" && answers.repeat.trim() !== "",
    );
    part("at once (-j)", "jobs", number("jobs", "1"), isNow);
    part("named (optional)", "name", this.input(answers, "name", "lr"));
    const anew = this.tick("run even what is recorded already", answers.new, (on) => (answers.new = on));
    box.append(make("div", "nbexp-sweep-setting", anew));
    return box;
  }

  // ---- its parts

  private input<Of extends Answers | Answer>(
    of: Of,
    field: { [Name in keyof Of]: Of[Name] extends string ? Name : never }[keyof Of],
    placeholder: string,
  ): HTMLInputElement {
    const input = make("input");
    input.type = "text";
    input.spellcheck = false;
    input.autocomplete = "off";
    input.placeholder = placeholder;
    input.value = of[field] as string;
    input.addEventListener("input", () => {
      (of[field] as string) = input.value;
      this.changed();
    });
    return input;
  }

  private text(
    label: string,
    answer: Answer,
    field: "values" | "start" | "stop" | "step" | "low" | "high",
    placeholder: string,
    className = "short",
  ): HTMLElement {
    const input = this.input(answer, field, placeholder);
    input.className = `nbexp-sweep-${className}`;
    return make("label", `nbexp-sweep-${className}-label`, make("span", "", label), input);
  }

  private tick(label: string, isOn: boolean, set: (on: boolean) => void): HTMLElement {
    const input = make("input");
    input.type = "checkbox";
    input.checked = isOn;
    input.addEventListener("change", () => {
      set(input.checked);
      this.changed();
    });
    return make("label", "nbexp-sweep-tick", input, make("span", "", label));
  }

  /** Options are value, words, and why one cannot be chosen. */
  private select(
    options: [string, string, string][],
    value: string,
    set: (chosen: string) => void,
  ): HTMLSelectElement {
    const made = make("select");
    for (const [name, words, problem] of options) {
      const option = new Option(problem ? `${words} (${problem})` : words, name);
      option.disabled = problem !== "" && name !== value;
      made.append(option);
    }
    made.value = value;
    made.addEventListener("change", () => {
      set(made.value);
      this.changed();
    });
    return made;
  }

  // ---- to and fro

  private changed(): void {
    this.show();
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.send(), PAUSE_MS);
  }

  private send(): void {
    window.clearTimeout(this.timer);
    // A new object: the same one would count as unchanged.
    this.model.set("answers", structuredClone(this.answers));
    this.model.save_changes();
    this.ask({ do: "look" });
  }

  private show(): void {
    for (const { node, shown } of this.rest) node.hidden = !shown();
  }

  readonly told = (): void => {
    const told = this.model.get("told");
    const isAsking = told.phase === "asking";
    this.show();
    for (const control of this.asking.querySelectorAll<HTMLInputElement>("input, select")) {
      control.disabled = !isAsking || this.isGone;
    }
    for (const [name, place] of this.places) {
      place.say(
        told.params[name] ?? "",
        told.problems.filter((one) => one.where === name),
      );
    }
    // The line says all of it while it runs.
    this.asking.hidden = !isAsking && told.phase !== "starting";
    const problems = told.problems.filter((one) => !this.places.has(one.where));
    if (Object.values(this.answers.params).every((one) => one.how === "keep") && problems[0]) {
      // Nothing was asked yet, so nothing is wrong.
      const hint = problems[0].hint ?? "";
      this.whole.say(`${problems[0].message} ${hint.charAt(0).toUpperCase()}${hint.slice(1)}`, []);
    } else {
      this.whole.say(told.said, problems);
    }
    if (this.summary.textContent !== told.summary) this.summary.textContent = told.summary;
    this.line.textContent = told.line;
    this.copy.parentElement!.hidden = !told.line;
    this.start.textContent = this.answers.when === "queue" ? "Put it into the queue" : "Start the sweep";
    this.start.disabled = !(isAsking && told.line) || this.isGone;
    this.stop.disabled = this.again.disabled = this.isGone;
    this.start.parentElement!.hidden = !isAsking && told.phase !== "starting";
    const { progress } = told;
    this.running.hidden = isAsking || told.phase === "starting";
    this.bar.hidden = !progress;
    if (progress) {
      this.bar.max = Math.max(progress.total, 1);
      this.bar.value = progress.done;
    }
    const course = progress?.text ?? "";
    if (this.course.textContent !== course) this.course.textContent = course;
    this.stop.hidden = told.phase !== "running";
    this.again.hidden = told.phase !== "over";
  };

  private async copyLine(): Promise<void> {
    const text = this.line.textContent ?? "";
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A page that is no secure context has no clipboard; a selection can be copied all the same.
      window.getSelection()?.selectAllChildren(this.line);
      document.execCommand("copy");
    }
    this.copied.textContent = "copied";
    window.setTimeout(() => (this.copied.textContent = ""), 2000);
  }

  close(): void {
    this.leave();
    window.clearTimeout(this.timer);
    window.clearInterval(this.clock);
  }
}

export default {
  render({ model, el }: { model: Model; el: HTMLElement }): () => void {
    const root = make("div");
    el.append(root);
    const view = new View(model, root);
    model.on("change:told", view.told);
    model.on("msg:custom", view.heard);
    return () => {
      model.off("change:told", view.told);
      model.off("msg:custom", view.heard);
      view.close();
    };
  },
};
