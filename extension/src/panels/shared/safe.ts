// HTML that Python made of a result, as elements: those named here, with the attributes named here, and nothing else.
// What is in a result was escaped already; this does not rely on it. Parsing runs no script and loads no picture.

const TAGS = new Set(
  "a b br caption code col colgroup dd details div dl dt em h1 h2 h3 h4 hr i img li ol p pre s small span strong sub summary sup table tbody td tfoot th thead tr u ul"
    .split(" "),
);
const ATTRIBUTES = new Set(["align", "alt", "class", "colspan", "height", "open", "role", "rowspan", "scope", "title", "width"]);
const DROPPED = new Set(["script", "style", "template", "iframe", "object", "embed", "noscript"]);
const PICTURE = /^data:image\/(png|jpeg|gif|webp|svg\+xml)[;,]/i;

/** The elements of an HTML text that cannot do anything. */
export function safe(html: string): DocumentFragment {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  const found = document.createDocumentFragment();
  copy(parsed.body, found);
  return found;
}

function copy(from: Node, to: Node): void {
  for (const child of from.childNodes) {
    if (child.nodeType === Node.TEXT_NODE) {
      to.appendChild(document.createTextNode(child.textContent ?? ""));
      continue;
    }
    if (!(child instanceof Element)) continue;
    const tag = child.localName;
    if (DROPPED.has(tag)) continue;
    if (!TAGS.has(tag) || tag === "a") {
      copy(child, to);
      continue;
    }
    if (tag === "img" && !PICTURE.test(child.getAttribute("src") ?? "")) continue;
    const element = document.createElement(tag);
    for (const { name, value } of child.attributes) {
      if (ATTRIBUTES.has(name) || (tag === "img" && name === "src")) element.setAttribute(name, value);
    }
    copy(child, element);
    to.appendChild(element);
  }
}
