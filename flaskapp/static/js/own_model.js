// The personal model: how its training goes, what came of it, which model compares, forgetting.

import { Problem, cancelOwnTraining, forgetOwnFace, readOwnFace, trainOwnFace, useOwnModel } from "./api.js";
import { announce, byId, element, focusOn, show, showProblem } from "./dom.js";

const POLL_MS = 700;
const NAMES = { accuracy: "Accuracy", precision: "Precision", recall: "Recall", f1: "F1" };
const whole = new Intl.NumberFormat("en");

export class Model extends EventTarget {
  #timer = null;
  #watched = false;

  constructor() {
    super();
    byId("train-cancel").addEventListener("click", () => this.#try("train-error", async () => {
      await cancelOwnTraining();
      announce("The training was cancelled.");
      byId("train").focus();
    }));
    byId("model-use").addEventListener("click", () => this.#try("model-error", async () => {
      await useOwnModel(!this.state.in_use);
    }));
    const dialog = byId("forget-dialog");
    byId("forget").addEventListener("click", () => dialog.showModal());
    byId("forget-no").addEventListener("click", () => dialog.close());
    byId("forget-yes").addEventListener("click", () => {
      dialog.close();
      this.#try("model-error", () => this.#forget());
    });
  }

  get isTraining() {
    return this.state?.training?.state === "running";
  }

  /** Ask the server how things stand, again and again while a training runs. */
  async refresh() {
    clearTimeout(this.#timer);
    try {
      this.state = await readOwnFace();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (!error.passing) {
        show(false, byId("train-progress"));
        return this.#fail("model-error", error);
      }
      this.#timer = setTimeout(() => this.refresh(), 3 * POLL_MS);
      return undefined;
    }
    this.#show(this.state);
    if (this.isTraining) this.#timer = setTimeout(() => this.refresh(), POLL_MS);
    this.dispatchEvent(new Event("change"));
    return undefined;
  }

  /** Start a training on faces as the server handed them out. */
  train(faces) {
    show(false, byId("outcome"), byId("removed"));
    return this.#try("train-error", async () => {
      await trainOwnFace(faces);
      this.#watched = true; // a refused one leaves an earlier training's outcome as it was
      announce("The training has begun.");
    });
  }

  async #forget() {
    this.dispatchEvent(new Event("forget"));
    const { removed } = await forgetOwnFace();
    show(false, byId("outcome"));
    byId("removed-list").replaceChildren(...removed.map((path) => element("li", {}, path)));
    byId("removed-heading").textContent = removed.length ? "Removed" : "There was nothing to remove.";
    show(true, byId("removed"));
    focusOn(byId("removed-heading"));
    announce(`${removed.length} files and folders were removed.`);
  }

  async #try(box, action) {
    showProblem(byId(box), null);
    try {
      await action();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#fail(box, error);
    }
    await this.refresh();
  }

  #fail(box, error) {
    showProblem(byId(box), error);
    announce(`${error.detail} ${error.hint}`);
  }

  #show(state) {
    const { training, obstacle } = state;
    if (obstacle) showProblem(byId("train-error"), obstacle);
    show(this.isTraining, byId("train-progress"));
    if (training) this.#showTraining(training);
    show(state.exists, byId("model-report"), byId("model-use"));
    show(state.in_use, byId("model-live"), byId("model-compare"));
    byId("model-use-words").textContent = state.in_use ? "Compare with the shipped weights" : "Compare with it";
    byId("model-words").textContent = wordsOf(state);
  }

  #showTraining({ state, share, words, problem, result }) {
    if (state === "running") {
      this.#watched = true;
      if (share) byId("train-share").value = share;
      else byId("train-share").removeAttribute("value");
      byId("train-words").textContent = words;
    } else if (state === "failed" && this.#watched) {
      this.#fail("train-error", new Problem(problem));
    } else if (state === "done") {
      this.#showResult(result);
    }
    if (state !== "running") this.#watched = false;
  }

  #showResult({ words, figures, scope }) {
    byId("outcome-words").replaceChildren(...words.map((sentences) => element("p", { class: "own-words" }, sentences)));
    byId("figures").replaceChildren(...Object.entries(NAMES).map(([key, name]) => element("tr", {},
      element("th", { scope: "row" }, name), ...["personal", "shipped", "alone"].map((system) => element("td", {}, percent(figures[key][system]))))));
    byId("scored-on").textContent = "The strangers are made up. The figures are those at the threshold, as if you and strangers came equally often. "
      + `Of two photos the answer was out of scope for ${whole.format(scope.strangers_out)} of ${whole.format(scope.stranger_pairs)} pairs of two strangers, and for ${whole.format(scope.owner_out)} of ${whole.format(scope.owner_pairs)} pairs of you.`;
    show(true, byId("outcome"));
    if (!this.#watched) return;
    focusOn(byId("outcome-heading"));
    announce(`The training is done. ${words[0]}`);
  }
}

const percent = (share) => (share === null ? "—" : `${(100 * share).toFixed(2)} %`);

function wordsOf({ model, exists, in_use: used, comparing_with: weights }) {
  if (used) return `This server compares with ${weights}. It is optimised for its owner and may not generalise.`;
  const there = exists ? `There is a personal model, ${model}, but it is not in use.` : "There is no personal model yet.";
  return `${there} This server compares with ${weights}.`;
}
