// Elements from data. Text goes in as text: nothing here, or anywhere in the panels, reads HTML; and nothing in it acts on
// the text beside it.
import { harmless } from "./format.ts";

type Child = Node | string | number | null | undefined | false;
type Attributes = { readonly [name: string]: unknown };

const SVG = "http://www.w3.org/2000/svg";

/** An element; `class`, `aria-*` and other attributes by their names, listeners as `onclick` and so on, children as nodes or text. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  return filled(document.createElementNS(SVG, tag) as SVGElementTagNameMap[K], attributes, children);
}

function filled<E extends Element>(element: E, attributes: Attributes, children: readonly Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), value as EventListener);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  add(element, children);
  return element;
}

/** Put children at the end of an element. */
export function add(element: Element, children: readonly Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : harmless(String(child)));
  }
}

/** Replace all that is in an element. */
export function fill(element: Element, ...children: Child[]): void {
  element.replaceChildren();
  add(element, children);
}

let numbers = 0;

/** An id that nothing else on the page has. */
export function fresh(prefix: string): string {
  numbers += 1;
  return `nbx-${prefix}-${numbers}`;
}

/** Calls a function at most once in a frame, with what it was given last. */
export function framed<A extends unknown[]>(act: (...args: A) => void): (...args: A) => void {
  let waiting: A | null = null;
  return (...args) => {
    const isNew = waiting === null;
    waiting = args;
    if (!isNew) return;
    requestAnimationFrame(() => {
      const last = waiting as A;
      waiting = null;
      act(...last);
    });
  };
}

/** Tells when the page's theme has changed; returns what ends that. */
export function onTheme(act: () => void): () => void {
  const watcher = new MutationObserver(act);
  watcher.observe(document.body, { attributes: true, attributeFilter: ["class", "data-jp-theme-name", "data-vscode-theme-id"] });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", act);
  return () => {
    watcher.disconnect();
    dark.removeEventListener("change", act);
  };
}
