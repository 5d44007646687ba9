// What a published site does beside being read: sort, filter, choose columns, and point from a row to its lines.
"use strict";

function table(sheet) {
  const body = sheet.querySelector("tbody");
  const rows = [...body.rows];
  const heads = [...sheet.querySelectorAll("thead th")];
  const words = rows.map((row) => row.textContent.toLowerCase());
  const lines = [...document.querySelectorAll("svg [data-e]")];
  const none = document.querySelector("#none");
  const count = document.querySelector("#count");
  const find = document.querySelector("#find");
  let sorted = { column: -1, down: false };

  const value = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.v ?? cell.textContent.trim();
    if (text === "" || text === "–") return null;
    const number = Number(text);
    return Number.isNaN(number) ? text.toLowerCase() : number;
  };

  // Rows without a value stay last, whichever way the others are sorted.
  const compare = (column, down) => (a, b) => {
    const [one, two] = [value(a, column), value(b, column)];
    if (one === null || two === null) return (one === null) - (two === null);
    const both = typeof one === "number" && typeof two === "number";
    const order = both ? one - two : String(one).localeCompare(String(two), undefined, { numeric: true });
    return down ? -order : order;
  };

  // A first click has the best on top where that is known; a third gives back the order of the page.
  const sort = (column) => {
    const first = heads[column].dataset.first === "down";
    if (sorted.column !== column) sorted = { column, down: first };
    else if (sorted.down === first) sorted = { column, down: !first };
    else sorted = { column: -1, down: false };
    const order = sorted.column < 0 ? rows : [...rows].sort(compare(column, sorted.down));
    body.append(...order);
    sheet.classList.toggle("sorted", sorted.column >= 0);
    heads.forEach((head, at) => {
      const is = at === sorted.column;
      if (is) head.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
      head.querySelector(".arrow").textContent = is ? (sorted.down ? "▼" : "▲") : "";
    });
  };
  heads.forEach((head, at) => head.querySelector("button").addEventListener("click", () => sort(at)));

  // `low acc>0.9`: each word must be in the row, each comparison must hold for a column of that name.
  const test = (term) => {
    const match = term.match(/^([^<>=!]+)(<=|>=|!=|=|<|>)(.+)$/);
    const at = match ? column(match[1]) : -1;
    if (at < 0) return (row, index) => words[index].includes(term);
    const wanted = Number.isNaN(Number(match[3])) ? match[3] : Number(match[3]);
    return (row) => {
      const found = value(row, at);
      if (found === null) return false;
      switch (match[2]) {
        case "<": return found < wanted;
        case ">": return found > wanted;
        case "<=": return found <= wanted;
        case ">=": return found >= wanted;
        case "!=": return found !== wanted;
        default: return found === wanted;
      }
    };
  };
  const column = (name) => {
    const titles = heads.map((head) => head.dataset.title.toLowerCase());
    const exact = titles.indexOf(name);
    return exact >= 0 ? exact : titles.findIndex((title) => title.endsWith(`.${name}`) || title.endsWith(`:${name}`));
  };

  const filter = () => {
    const tests = find.value.toLowerCase().split(/\s+/).filter(Boolean).map(test);
    const shown = new Set();
    let total = 0;
    rows.forEach((row, index) => {
      row.hidden = !tests.every((one) => one(row, index));
      if (!row.dataset.e) return;
      total += 1;
      if (!row.hidden) shown.add(row.dataset.e);
    });
    lines.forEach((line) => line.toggleAttribute("hidden", !shown.has(line.dataset.e)));
    const noun = total === 1 ? "experiment" : "experiments";
    count.textContent = shown.size === total ? `${total} ${noun}` : `${shown.size} of ${total} ${noun}`;
    none.hidden = rows.some((row) => !row.hidden);
  };
  find.addEventListener("input", filter);
  document.addEventListener("keydown", (event) => {
    const chooser = document.querySelector("details.choose");
    if (event.key === "Escape") chooser.open = false;
    const typing = /^(input|textarea|select)$/i.test(event.target.tagName);
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    find.focus();
  });

  const show = (at, on) => {
    heads[at].hidden = !on;
    rows.forEach((row) => { row.cells[at].hidden = !on; });
  };
  document.querySelectorAll("details.choose input").forEach((box) => {
    const at = heads.findIndex((head) => head.dataset.title === box.value);
    box.addEventListener("change", () => show(at, box.checked));
    show(at, box.checked); // a browser that reloads the page remembers what was ticked
  });
  document.addEventListener("click", (event) => {
    const chooser = document.querySelector("details.choose");
    if (!chooser.contains(event.target)) chooser.open = false;
  });

  const light = (name) => {
    rows.forEach((row) => row.classList.toggle("lit", !!name && row.dataset.e === name));
    document.querySelectorAll("svg").forEach((svg) => svg.classList.toggle("lit", !!name));
    lines.forEach((line) => line.classList.toggle("on", line.dataset.e === name));
  };
  const named = (target) => target.closest?.("[data-e]")?.dataset.e;
  for (const area of [body, ...document.querySelectorAll("figure")]) {
    area.addEventListener("pointerover", (event) => light(named(event.target)));
    area.addEventListener("pointerleave", () => light());
  }
  body.addEventListener("focusin", (event) => light(named(event.target)));
  body.addEventListener("focusout", () => light());
  lines.forEach((line) => {
    // What is seen is thin; a copy that is not seen is wide enough to be met by a pointer.
    const wide = line.querySelector(".line")?.cloneNode();
    wide?.setAttribute("class", "hit");
    if (wide) line.append(wide);
    line.addEventListener("click", () => {
      const row = rows.find((one) => one.dataset.e === line.dataset.e);
      row?.querySelector("a")?.click();
    });
  });

  document.querySelector(".bar").hidden = false;
  filter();
}

// Colours for the code of a notebook: comments, texts, numbers and words of Python.
function colours(code) {
  const parts = /(#[^\n]*)|((?:\b[rbfu]{1,2})?(?:"""[\s\S]*?"""|'''[\s\S]*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))|(\b\d[\w.]*\b)|(\b(?:and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is|lambda|None|nonlocal|not|or|pass|raise|return|True|False|try|while|with|yield)\b)/g;
  const kinds = ["c", "s", "m", "k"];
  const text = code.textContent;
  const found = document.createDocumentFragment();
  let end = 0;
  for (const match of text.matchAll(parts)) {
    const kind = kinds[match.slice(1).findIndex((part) => part !== undefined)];
    const span = document.createElement("span");
    span.className = kind;
    span.textContent = match[0];
    found.append(text.slice(end, match.index), span);
    end = match.index + match[0].length;
  }
  found.append(text.slice(end));
  code.replaceChildren(found);
}

// Code and prose that many pages share are in one file, made and cleaned by the same program as this page.
document.querySelectorAll("[data-c]").forEach((part) => { part.innerHTML = CELLS[part.dataset.c]; });
const sheet = document.querySelector(".sheet table");
if (sheet) table(sheet);
document.querySelectorAll("code.python").forEach(colours);
