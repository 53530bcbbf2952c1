// Words for verdicts and photos. They come with the page from flaskapp/words.py, which puts them together in the same way.

import { byId, show, showIcon } from "./dom.js";

const WORDS = JSON.parse(byId("main").dataset.words);

/** Word and sentence of a decision on two photos, or on one and the photos that a personal model knows. */
export const verdictWords = (decision, knownPhotos = 0) => (knownPhotos ? WORDS.about_you : WORDS.verdicts)[decision];

// "fair: a little blurred, too dark"
function gradeWords({ grade, reasons }) {
  const found = reasons.map((reason) => WORDS.reasons[reason][0]).join(", ");
  return found ? `${grade}: ${grade === "fair" ? "a little " : ""}${found}` : grade;
}

/** How good a photo is: "Poor photo: blurred". */
export const photoWords = (quality) => gradeWords(quality).replace(/^(.)(\w*)/, (_, first, rest) => `${first.toUpperCase()}${rest} photo`);

/** What would help; empty for a good photo. */
export function helpFor({ grade, reasons }) {
  if (grade === "good") return "";
  return reasons.length ? WORDS.reasons[reasons[0]][1] : WORDS.no_reason;
}

/** The same as sentences, for screen readers. */
export const photoSentences = (quality) => `${photoWords(quality)}. ${helpFor(quality)}`.trim();

/**
 * The sentence of a verdict; of an inconclusive one with what is wrong with which photo, and what may help.
 *
 * @param {string} decision
 * @param {object} photos name → quality
 * @param {number} knownPhotos how many a personal model knows, if its owner was asked for
 */
export function sentenceOf(decision, photos, knownPhotos = 0) {
  const sentence = verdictWords(decision, knownPhotos)[1];
  if (decision !== "inconclusive") return sentence;
  const told = Object.entries(photos);
  const why = told.filter(([, { grade }]) => grade !== "good").map(([name, quality]) => `The ${name} photo is ${gradeWords(quality)}.`);
  const helps = new Set(told.map(([, quality]) => helpFor(quality)).filter(Boolean));
  return [sentence, ...why, ...(helps.size ? helps : [WORDS.both_good])].join(" ");
}

/** Fill one of the page's lines on a photo's quality; with null hide it. */
export function showQuality(line, quality) {
  line.dataset.grade = quality?.grade ?? "";
  showIcon(line, quality?.grade);
  line.querySelector("[data-quality-words]").textContent = quality ? photoWords(quality) : "";
  const help = line.querySelector("[data-quality-help]");
  if (help) help.textContent = quality ? helpFor(quality) : "";
  show(Boolean(quality), line);
}
