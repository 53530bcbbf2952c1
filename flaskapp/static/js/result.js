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
    byId("counts").textContent = "";
    setDecision(byId("verdict"), "");
    this.scale.show(null);
    show(false, this.root);
  }

  /**
   * Show an answer, unless it is no longer wanted once the photos have been decoded.
   *
   * @param {object} answer of /api/v1/verify
   * @param {{reference: PhotoSlot, probe: PhotoSlot}} slots with the photos that it is about
   * @param {AbortSignal} signal that it is no longer wanted
   * @returns {Promise<boolean>} whether it is shown
   */
  async show(answer, slots, signal) {
    const views = await Promise.all(LABELS.map((label) => slots[label].viewOf(answer.faces[label].number - 1)));
    if (signal.aborted) {
      for (const view of views) view?.close();
      return false;
    }
    this.answer = { ...answer, compared_at: new Date().toISOString() };
    [byId("verdict-word").textContent] = verdictWords(answer.decision);
    byId("verdict-words").textContent = sentenceOf(answer.decision, qualitiesOf(answer));
    setDecision(byId("verdict"), answer.decision);
    byId("counts").textContent = answer.error_counts.sentence;
    this.scale.show(answer.similarity_score);
    show(answer.similarity_score !== null, byId("result-score"));
    byId("numbers").replaceChildren(...numbersOf(answer));
    LABELS.forEach((label, index) => this.#drawFace(label, views[index], answer.faces[label]));
    show(true, this.root);
    return true;
  }

  #drawFace(label, view, face) {
    showQuality(byId(`${label}-quality`), face.quality);
    const canvas = byId(`${label}-aligned`);
    show(view !== null, canvas);
    show(view === null, byId(`${label}-unseen`));
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
      sentence: byId("verdict-words").textContent,
      photos: Object.fromEntries(LABELS.map((label) => [label, photoWords(this.answer.faces[label].quality)])),
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

const qualitiesOf = ({ faces }) => Object.fromEntries(LABELS.map((label) => [label, faces[label].quality]));

export function setDecision(root, decision) {
  root.dataset.decision = decision;
  showIcon(root, decision);
}

function numbersOf(answer) {
  const rows = [
    ...(answer.similarity_score === null ? [] : [["Score", answer.similarity_score]]),
    ["Weights", answer.model],
    ...LABELS.map((label) => [`Face in the ${label} photo`, faceWords(answer.faces[label])]),
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
