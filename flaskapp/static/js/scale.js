// The drawn scale: moves what the template drew.

const SCALE_ENDS = 7;
const percent = (value) => `${(100 * value).toFixed(2)}%`;

/** Where a score is drawn, from 0 to 1: by its log-odds; the server does the same. */
export const place = (score) => Math.min(Math.max(0.5 + Math.log(score / (1 - score)) / (2 * SCALE_ENDS), 0), 1);

/** A score with as many digits as it takes to stand on the same side of the band as it was; the server does the same. */
export function scoreWords(score, edges) {
  for (let digits = 3; digits < 8; digits += 1) {
    const rounded = Number(score.toFixed(digits));
    if (edges.every((edge) => rounded >= edge === score >= edge)) return score.toFixed(digits);
  }
  return String(score);
}

export class Scale {
  constructor(root) {
    this.root = root;
    this.marker = root.querySelector(".scale-marker");
    this.number = root.querySelector(".marker-number");
    this.title = root.querySelector("title");
    this.bandWords = this.title.textContent.trim();
    this.band = [Number(root.dataset.low), Number(root.dataset.high)];
  }

  /** Draw another band than the template's, which is that of two photos. */
  draw([low, high], threshold) {
    this.band = [low, high];
    const [below, from, ...between] = this.root.querySelectorAll("g rect");
    const [left, right] = [place(low), place(high)];
    below.setAttribute("width", percent(left));
    for (const [zone, start, end] of [[from, right, 1], ...between.map((zone) => [zone, left, right])]) {
      zone.setAttribute("x", percent(start));
      zone.setAttribute("width", percent(end - start));
    }
    for (const line of this.root.querySelectorAll("line")) for (const end of ["x1", "x2"]) line.setAttribute(end, percent(place(threshold)));
    for (const [name, value] of Object.entries({ low, high, threshold })) this.root.querySelector(`[data-${name}-number]`).textContent = value.toFixed(3);
    this.bandWords = `Non-match below ${low.toFixed(3)}, match from ${high.toFixed(3)}${low < high ? ", inconclusive between" : ""}.`;
  }

  /**
   * Show a score, or none.
   *
   * The weights' own band is drawn by the template. It changes only with them; then the page must be
   * loaded anew, and api.js says so.
   */
  show(score) {
    this.marker.setAttribute("visibility", score === null ? "hidden" : "visible");
    if (score === null) {
      this.title.textContent = this.bandWords;
      return;
    }
    const words = scoreWords(score, this.band);
    const x = place(score);
    this.marker.setAttribute("x", percent(x));
    this.number.textContent = words;
    this.number.setAttribute("text-anchor", x < 0.08 ? "start" : x > 0.92 ? "end" : "middle");
    this.title.textContent = `Score ${words} on a scale from 0 to 1. ${this.bandWords}`;
  }
}
