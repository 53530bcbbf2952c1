// Step 3: the answer in words and drawings.

import { byId, element, show, showIcon } from "./dom.js";
import { drawAligned } from "./geometry.js";
import { save, toPng } from "./pictures.js";
import { drawReport } from "./report.js";
import { Scale } from "./scale.js";
import { photoWords, sentenceOf, showQuality, verdictWords } from "./words.js";

const LABELS = ["reference", "probe"];

export class ResultView {
  constructor(template, cropSize) {
    Object.assign(this, { template, cropSize });
    this.root = byId("result");
    this.scale = new Scale(byId("result-scale"));
    byId("save-json").addEventListener("click", () => this.#saveJson());
    byId("save-png").addEventListener("click", () => this.#savePng());
    this.clear();
  }

  clear() {
    this.answer = null;
    for (const label of LABELS) {
      const canvas = byId(`${label}-aligned`);
      canvas.getContext("2d").reset?.();
      canvas.width = canvas.width; // where reset is unknown, this empties it too
      show(false, canvas, byId(`${label}-unseen`));
      showQuality(byId(`${label}-quality`), null);
    }
    byId("numbers").replaceChildren();
    byId("more-faces").replaceChildren();
    tellReferences(null);
    byId("counts").textContent = "";
    setDecision(byId("verdict"), "");
    this.scale.show(null);
    show(false, this.root);
  }

  /**
   * Show an answer, unless it is no longer wanted once the photos have been decoded.
   *
   * @param {object} answer of /api/v1/verify
   * @param {PhotoSlot[]} references with the photos that it is about
   * @param {PhotoSlot} probe
   * @param {AbortSignal} signal that it is no longer wanted
   * @returns {Promise<boolean>} whether it is shown
   */
  async show(answer, references, probe, signal) {
    const faces = [...referencesOf(answer), answer.faces.probe];
    const views = await Promise.all([...references, probe].map((slot, index) => slot.viewOf(faces[index].number - 1)));
    if (signal.aborted) {
      for (const view of views) view?.close();
      return false;
    }
    this.answer = { ...answer, compared_at: new Date().toISOString() };
    const known = answer.known_photos ?? 0;
    [byId("verdict-word").textContent] = verdictWords(answer.decision, known);
    byId("verdict-words").textContent = sentenceOf(answer.decision, qualitiesOf(answer), known);
    setDecision(byId("verdict"), answer.decision);
    byId("counts").textContent = answer.error_counts.sentence;
    tellReferences(answer.references ?? (known ? { odd: [], sentence: `Compared with ${known} photos of you.` } : null));
    show(known, byId("you-face"));
    show(!known, byId("reference-face"));
    this.scale.draw(answer.inconclusive_band, answer.threshold);
    this.scale.show(answer.similarity_score);
    show(answer.similarity_score !== null, byId("result-score"));
    byId("numbers").replaceChildren(...numbersOf(answer));
    if (!known) this.#drawFace("reference", views[0], faces[0]);
    this.#drawFace("probe", views.at(-1), faces.at(-1));
    byId("more-faces").replaceChildren(...faces.slice(1, -1).map((face, index) => this.#moreFace(views[index + 1], face, index + 2)));
    show(true, this.root);
    return true;
  }

  #drawFace(label, view, face) {
    showQuality(byId(`${label}-quality`), face.quality);
    show(view === null, byId(`${label}-unseen`));
    this.#drawAligned(byId(`${label}-aligned`), view, face);
  }

  #moreFace(view, face, number) {
    const item = byId("more-face").content.firstElementChild.cloneNode(true);
    item.querySelector("[data-name]").textContent = `Photo ${number}`;
    showQuality(item.querySelector("[data-quality]"), face.quality);
    item.firstElementChild.setAttribute("aria-label", `Aligned face of reference photo ${number}`);
    this.#drawAligned(item.firstElementChild, view, face);
    return item;
  }

  #drawAligned(canvas, view, face) {
    show(view !== null, canvas);
    if (!view) return;
    drawAligned(canvas, view.picture, view.landmarks(face.landmarks), this.template, this.cropSize);
    view.close();
  }

  #saveJson() {
    const text = JSON.stringify(this.answer, null, 2);
    save(new Blob([text], { type: "application/json" }), "comparison.json");
  }

  async #savePng() {
    const report = drawReport({
      answer: this.answer,
      faces: Object.fromEntries(LABELS.map((label) => [label, this.#drawn(label)])),
      word: byId("verdict-word").textContent,
      sentence: `${byId("verdict-words").textContent} ${this.answer.references?.sentence ?? ""}`.trim(),
      photos: Object.fromEntries(LABELS.map((label) => [label, photoWordsOf(this.answer, label)])),
      counts: byId("counts").textContent,
      note: byId("model-note")?.textContent.replace(/\s+/g, " ").trim() ?? "",
    });
    save(await toPng(report), "comparison.png");
  }

  #drawn(label) {
    const canvas = byId(`${label}-aligned`);
    return canvas.hidden ? null : canvas;
  }
}

// None where the person that a personal model knows was asked for.
const referencesOf = ({ faces }) => faces.references ?? [faces.reference].filter(Boolean);

const photoWordsOf = ({ faces, known_photos: known }, label) => (faces[label] ? photoWords(faces[label].quality) : `${known} photos`);

// Of several references the best one's.
function qualitiesOf(answer) {
  const all = referencesOf(answer).map(({ quality }) => quality);
  if (!all.length) return { probe: answer.faces.probe.quality };
  const best = all.reduce((one, other) => (other.certainty > one.certainty ? other : one));
  return { [all.length > 1 ? "best reference" : "reference"]: best, probe: answer.faces.probe.quality };
}

function tellReferences(told) {
  const words = byId("references-words");
  show(Boolean(told), words, byId("reference-number"));
  show(Boolean(told?.odd.length), words.querySelector("[data-odd]"));
  words.querySelector("[data-words]").textContent = told?.sentence ?? "";
}

export function setDecision(root, decision) {
  root.dataset.decision = decision;
  showIcon(root, decision);
}

function numbersOf(answer) {
  const rows = [
    ...(answer.similarity_score === null ? [] : [["Score", answer.similarity_score]]),
    ["Weights", answer.model],
    ...referencesOf(answer).map((face, index, all) => [`Face in the reference photo${all.length > 1 ? ` ${index + 1}` : ""}`, faceWords(face)]),
    ["Face in the probe photo", faceWords(answer.faces.probe)],
    ...(answer.error_counts.intervals ? [["Shares with this verdict, 95 % intervals", intervalWords(answer.error_counts)]] : []),
    ["Time on the server", `${Math.round(answer.timing_ms.total)} ms`],
  ];
  return rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, String(value))));
}

function faceWords(face) {
  const number = face.other_faces ? `Face ${face.number} of ${face.other_faces + 1} from the left` : "The only face, or the only large one";
  const box = `box ${face.box_xyxy.join(", ")} in a photo of ${face.photo_size_wh.join(" × ")} pixels`;
  const turned = face.turned ? `, which was turned by ${face.turned} degrees to the right` : "";
  return `${number}, ${box}${turned}, detection score ${face.detection_score}, certainty ${face.quality.certainty.toFixed(3)}`;
}

function intervalWords({ intervals, impostors, genuine }) {
  const words = ([low, high], people) => `${(100 * low).toFixed(2)} to ${(100 * high).toFixed(2)} % of pairs of ${people}`;
  return `${words(intervals.impostor, impostors)}; ${words(intervals.genuine, genuine)}`;
}
