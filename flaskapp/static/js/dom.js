// Small helpers around the document.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** Show or hide elements by the attribute that also works without style sheets. */
export function show(visible, ...elements) {
  for (const element of elements) element.hidden = !visible;
}

/** Of an element's icons, show the one of this name. */
export function showIcon(root, name) {
  for (const icon of root.querySelectorAll("[data-icon]")) show(icon.dataset.icon === name, icon);
}

export function element(tag, attributes = {}, ...children) {
  return dress(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return dress(document.createElementNS(SVG, tag), attributes, children);
}

function dress(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const TOGETHER_MS = 1000;
let announcedAt = -Infinity;

/**
 * Tell it to screen readers, without moving the focus.
 *
 * What follows within a second is added: the two photos are often looked at together, and the
 * words about the first would be gone before they were read.
 */
export function announce(words, region = byId("status")) {
  const now = performance.now();
  const before = region.textContent;
  region.textContent = now - announcedAt < TOGETHER_MS && before && before !== words ? `${before} ${words}` : words;
  announcedAt = now;
}

export function focusOn(target) {
  target.focus({ preventScroll: true });
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  target.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
}

/** Fill one of the page's error boxes; with null, empty and hide it. */
export function showProblem(box, problem) {
  box.dataset.code = problem?.code ?? "";
  box.querySelector(".error-message").textContent = problem?.detail ?? "";
  box.querySelector(".error-hint").textContent = problem ? hintOf(problem) : "";
  box.hidden = !problem;
}

function hintOf(problem) {
  if (problem.code !== "rate_limited" || !problem.retryAfter) return problem.hint ?? "";
  const seconds = problem.retryAfter;
  return `Wait ${seconds} ${seconds === 1 ? "second" : "seconds"}, then try again.`;
}

/** Say beside a box to tick what is wrong with it, or with null nothing; return whether there is. */
export function markTick(id, words) {
  const error = byId(`${id}-error`);
  error.textContent = words ?? "";
  show(Boolean(words), error);
  const box = byId(id);
  if (words) {
    box.setAttribute("aria-invalid", "true");
    box.setAttribute("aria-describedby", error.id);
  } else {
    box.removeAttribute("aria-invalid");
    box.removeAttribute("aria-describedby");
  }
  return Boolean(words);
}

/** Empty a canvas and give its memory back. */
export function wipe(canvas) {
  canvas.width = 0;
  canvas.height = 0;
}
