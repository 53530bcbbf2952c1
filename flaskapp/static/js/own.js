// The entry of the page that trains on one's own face: photos, training, forgetting.

import { announce, byId, markTick, show, showProblem } from "./dom.js";
import { Album } from "./own_album.js";
import { Capture } from "./own_capture.js";
import { Model } from "./own_model.js";

class OwnPage {
  constructor(main) {
    const { mostPhotos, fewestPhotos, photoMb } = main.dataset;
    this.fewest = Number(fewestPhotos);
    this.album = new Album(Number(mostPhotos), Number(photoMb) * 1024 ** 2);
    this.capture = new Capture(this.album);
    this.model = new Model();
    this.sent = [];
    this.album.addEventListener("change", () => this.#say());
    this.album.addEventListener("closed", ({ detail }) => showProblem(byId("capture-error"), detail));
    this.model.addEventListener("change", () => this.#say());
    this.model.addEventListener("forget", () => this.#forget());
    byId("keep-box").addEventListener("change", () => markTick("keep-box", null));
    byId("train-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#train();
    });
    // A page that comes back from the browser's memory may have lost its consent meanwhile.
    window.addEventListener("pageshow", (event) => event.persisted && location.reload());
    this.#say();
    this.model.refresh();
  }

  get lacking() {
    return Math.max(0, this.fewest - this.album.counted.length);
  }

  #say() {
    this.#sayWhatIsNeeded();
    this.#sayDoubt();
  }

  // Which photos of the last training look like somebody else; those removed since are not named.
  #sayDoubt() {
    const doubted = (this.model.state?.training?.doubted ?? [])
      .map((number) => (this.sent.length ? this.album.photos.indexOf(this.sent[number - 1]) + 1 : number))
      .filter((number) => number);
    const words = doubted.length ? doubtIn(doubted, this.sent.length) : "";
    const place = byId("train-doubt-words");
    if (words && place.textContent !== words) announce(words);
    place.textContent = words;
    show(words, byId("train-doubt"));
  }

  #sayWhatIsNeeded() {
    const { lacking } = this;
    byId("train-note").textContent = this.model.isTraining
      ? "The current model stays in use until the new one is ready. You can leave this page open and come back."
      : lacking
        ? `${lacking} more ${lacking === 1 ? "photo is" : "photos are"} needed; 15 are better.`
        : "It takes a few minutes. The current model stays in use until the new one is ready.";
    const train = byId("train");
    if (this.model.isTraining) train.setAttribute("aria-disabled", "true");
    else train.removeAttribute("aria-disabled");
    train.firstElementChild.textContent = this.model.isTraining ? "Training…" : "Train";
  }

  #train() {
    if (this.model.isTraining) return;
    showProblem(byId("train-error"), null);
    if (this.lacking) {
      const [count, copies] = [this.album.counted.length, this.album.photos.length > this.album.counted.length];
      const detail = `There ${count === 1 ? "is 1 photo" : `are ${count} photos`} to train on; ${this.lacking} more ${this.lacking === 1 ? "is" : "are"} needed.`;
      const hint = `Take them with the webcam, or choose some${copies ? "; those with a note below them do not count" : ""}.`;
      showProblem(byId("train-error"), { code: "too_few_photos", detail, hint });
      announce(detail);
      byId("capture-toggle").focus();
      return;
    }
    if (!byId("keep-box").checked) {
      markTick("keep-box", "Tick this box if you agree. Without it, no model is made.");
      byId("keep-box").focus();
      return;
    }
    this.capture.stop();
    this.sent = [...this.album.counted];
    this.model.train(this.album.faces);
  }

  #forget() {
    this.capture.stop();
    this.album.clear();
    byId("keep-box").checked = false;
  }
}

function doubtIn(numbers, sent) {
  const alone = numbers.length === 1;
  const named = `${alone ? "Photo" : "Photos"} ${new Intl.ListFormat("en").format(numbers.map(String))}`;
  const what = 2 * numbers.length > sent && sent
    ? `The photos seem to show several people: ${numbers.length} of ${sent} do not match most of the others.`
    : `${named} ${alone ? "looks" : "look"} like a different person from most of the others.`;
  return `${what} If ${alone ? "it does" : "they do"} not show you, remove ${alone ? "it" : "them"} and train again.`;
}

document.documentElement.classList.add("js");
new OwnPage(byId("main"));
