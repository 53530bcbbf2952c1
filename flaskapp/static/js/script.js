// The page's entry: enhances the plain forms, which work without it.
//
// api.js asks the server; consent.js is step 1; slot.js, more.js, sources.js and camera.js fill the
// photos of step 2; result.js shows step 3; live.js compares the webcam. Nothing is kept
// outside this page's memory: no storage, no cookie of the script's own.

import { Problem, fetchFile, verify } from "./api.js";
import { CameraDialog } from "./camera.js";
import { Consent } from "./consent.js";
import { announce, byId, focusOn, show, showProblem } from "./dom.js";
import { LiveComparison } from "./live.js";
import { MoreReferences } from "./more.js";
import { ResultView } from "./result.js";
import { PhotoSlot } from "./slot.js";
import { acceptDrops, acceptPaste } from "./sources.js";

const PROGRESS_AFTER_MS = 250; // a bar that only flashes up is noise

class Page {
  constructor(main) {
    const { template, cropSize, photoMb } = main.dataset;
    const mostBytes = Number(photoMb) * 1024 ** 2;
    this.reference = new PhotoSlot("reference", mostBytes);
    this.probe = new PhotoSlot("probe", mostBytes);
    this.more = new MoreReferences(mostBytes);
    this.result = new ResultView(JSON.parse(template), Number(cropSize));
    this.camera = new CameraDialog();
    this.consent = new Consent();
    this.live = new LiveComparison(this.reference, () => this.askForConsent());
    this.work = null;
    this.#listen();
  }

  get references() {
    return [this.reference, ...this.more.slots];
  }

  get slots() {
    return [...this.references, this.probe];
  }

  #listen() {
    this.consent.addEventListener("given", () => this.#openPhotos());
    this.consent.addEventListener("ended", () => this.askForConsent());
    this.consent.addEventListener("withdrawn", () => this.#withdrawn());
    const targets = [this.more, this.reference, this.probe];
    for (const slot of targets) {
      slot.addEventListener("change", () => this.#photosChanged());
      slot.addEventListener("consent", () => this.askForConsent());
      slot.root.querySelector("[data-webcam]").addEventListener("click", () => this.#takePhoto(slot));
    }
    const isOpen = () => !byId("photos").hidden && !byId("camera").open;
    acceptDrops(targets, isOpen);
    acceptPaste(targets, isOpen);
    byId("compare-form").noValidate = true;
    byId("compare-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#compare();
    });
    byId("cancel").addEventListener("click", () => this.#cancel());
    for (const button of byId("samples").querySelectorAll("button")) {
      button.addEventListener("click", () => this.#takeSamples(JSON.parse(button.dataset.samples)));
    }
    byId("modes").addEventListener("change", (event) => this.#setMode(event.target.value));
    for (const button of document.querySelectorAll("[data-start-over]")) {
      button.addEventListener("click", () => this.#startOver());
    }
    // A page that comes back from the browser's memory may have lost its consent meanwhile.
    window.addEventListener("pageshow", (event) => event.persisted && this.open());
  }

  /** Show the step that the consent allows. A page that was served without asks first anyway. */
  async open() {
    if (!byId("consent").hidden) return;
    const title = document.title; // "Error: …" where the server found fault with a photo of the plain form
    if (await this.consent.check()) this.#setStep("photos");
    else this.askForConsent();
    if (title.startsWith("Error") && byId("main").dataset.step === "photos") document.title = title;
  }

  /** Stop everything and ask for consent; photos that were chosen wait behind the question. */
  askForConsent() {
    this.#stopWork();
    this.consent.askAgain();
    this.#setStep("consent");
    focusOn(byId("consent-heading"));
  }

  #openPhotos() {
    this.#setStep("photos");
    focusOn(byId("photos-heading"));
    announce("Thank you. Choose two photos.");
    for (const slot of this.slots) if (slot.problem?.code === "consent_required") slot.take(slot.file);
  }

  #withdrawn() {
    this.#forget();
    this.consent.askAgain(null);
    this.#setStep("consent");
    focusOn(byId("consent-heading"));
  }

  #startOver() {
    this.#forget();
    this.#setStep("photos");
    focusOn(byId("photos-heading"));
    announce("Everything was forgotten. Choose two photos.");
  }

  #forget() {
    this.#stopWork();
    this.live.clear();
    for (const slot of [this.more, this.reference, this.probe]) slot.clear();
    this.result.clear();
    this.#setMode("photo");
    byId("modes").querySelector("input").checked = true;
  }

  #stopWork() {
    this.work?.abort();
    this.camera.close();
    this.live.stop();
  }

  #setStep(step) {
    const result = step === "result";
    show(step === "consent", byId("consent"));
    show(step !== "consent", byId("photos"), byId("withdraw-form"));
    show(result, byId("result"));
    byId("main").dataset.step = step;
    for (const mark of document.querySelectorAll("[data-step-name]")) {
      if (mark.dataset.stepName === step) mark.setAttribute("aria-current", "step");
      else mark.removeAttribute("aria-current");
    }
    document.title = `${{ consent: "Agree first", photos: "Choose two photos", result: "Result" }[step]} – Facial Recognition`;
  }

  #setMode(mode) {
    const live = mode === "live";
    if (!live) this.live.clear();
    show(live, byId("live"));
    show(!live, this.probe.root, this.more.root, byId("compare"), byId("samples"));
    byId("photos-heading").textContent = live ? "Compare a photo with the webcam" : "Choose two photos";
    if (live) this.#dropResult();
  }

  // A result belongs to the photos it was made from.
  #photosChanged() {
    this.work?.abort();
    this.#dropResult();
    showProblem(byId("compare-error"), null);
  }

  #dropResult() {
    if (!this.result?.answer) return;
    this.result.clear();
    this.#setStep("photos");
  }

  #takePhoto(slot) {
    this.live.stop();
    this.camera.open(`Take the ${slot.name.toLowerCase()}`, (photo) => slot.take(photo));
  }

  async #takeSamples(urls) {
    this.more.clear();
    await Promise.all(this.slots.map((slot, index) => takeSample(slot, urls[index])));
  }

  async #compare() {
    if (this.work) return;
    showProblem(byId("compare-error"), null);
    const blocked = this.slots.filter((slot) => slot.obstacle);
    for (const slot of this.slots) slot.showObstacle();
    if (blocked.length) {
      blocked[0].focus();
      announce(`${blocked[0].name}: ${blocked[0].obstacle.detail}`);
      return;
    }
    const work = (this.work = new AbortController());
    const done = this.#showWork();
    try {
      const answer = await verify(this.references, this.probe, work.signal);
      if (!work.signal.aborted) await this.#showResult(answer, work.signal);
    } catch (error) {
      if (!work.signal.aborted) await this.#showFailure(error);
    } finally {
      done();
    }
  }

  #cancel() {
    this.work?.abort();
    byId("compare").focus();
    announce("Cancelled.");
  }

  #showWork() {
    const button = byId("compare");
    button.setAttribute("aria-disabled", "true");
    button.firstElementChild.textContent = "Comparing…";
    announce("Comparing the faces…");
    const timer = setTimeout(() => show(true, byId("progress")), PROGRESS_AFTER_MS);
    return () => {
      clearTimeout(timer);
      show(false, byId("progress"));
      button.removeAttribute("aria-disabled");
      button.firstElementChild.textContent = "Compare Faces";
      this.work = null;
    };
  }

  async #showResult(answer, signal) {
    if (!(await this.result.show(answer, this.references, this.probe, signal))) return;
    this.#setStep("result");
    focusOn(byId("result-heading"));
    byId("result").scrollIntoView({ block: "start" });
    announce(["verdict-word", "verdict-words", "references-words"].map((id) => byId(id).textContent.trim()).filter(Boolean).join(" ").replace(" ", ". "));
  }

  async #showFailure(error) {
    if (!(error instanceof Problem)) throw error;
    if (error.code === "consent_required") {
      this.askForConsent();
      return;
    }
    const slot = this.slots.find(({ label }) => label === error.photo?.replace(/ 1$/, ""));
    if (slot) {
      await slot.fail(error);
      slot.focus();
    } else {
      showProblem(byId("compare-error"), error);
      byId("compare").focus();
    }
    announce(`${error.detail} ${error.hint}`);
  }
}

async function takeSample(slot, url) {
  try {
    await slot.take(await fetchFile(url));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    slot.refuse(error);
  }
}

// A form that was sent before this script had loaded got a plain page for an answer, with its
// own next step; such a page is left as it is.
if (["consent", "photos"].includes(byId("main").dataset.step)) {
  document.documentElement.classList.add("js");
  new Page(byId("main")).open();
}
