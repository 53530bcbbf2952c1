// Live comparison: one frame after the other against the reference photo.

import { Problem, compareFrame } from "./api.js";
import { announce, byId, show, showProblem, wipe } from "./dom.js";
import { heightOf, widthOf, withMargin } from "./geometry.js";
import { decode, toJpeg } from "./pictures.js";
import { setDecision } from "./result.js";
import { Scale } from "./scale.js";
import { View } from "./views.js";
import { LOST, Webcam, severalCameras } from "./webcam.js";
import { photoSentences, showQuality, verdictWords } from "./words.js";

const FRAME = { width: 640, height: 480 };
const FRAME_QUALITY = 0.85;
const REFERENCE_SIDE = 400;
const REFERENCE_QUALITY = 0.95;
const MARGIN = 0.5;

const SMOOTHING_MS = 700; // a score this old counts for about a third
const FORGET_MS = 1500; // without a face for so long, the next one starts anew
const STEADY_MS = 1200; // a decision is read out, and a quality shown, once it has stood this long
const RATE_WINDOW_MS = 2000;
const STILL_MS = 100; // how long to wait for another frame where the camera stands still

const UNSEEN = {
  code: "reference_unseen",
  detail: "Live comparison needs a reference photo that your browser can show.",
  hint: "Save the photo as JPEG and choose it again.",
};

const CROWDED = {
  code: "several_faces",
  detail: "In the reference photo, another face is too close to the one you chose.",
  hint: "Choose a photo that shows this face alone, or crop this one.",
};

export class LiveComparison {
  #generation = 0;

  knownPhotos = 0; // how many photos of whom a personal model knows, where the webcam is compared with these

  /** @param {PhotoSlot} reference the photo that the webcam is compared with, else */
  constructor(reference, consentEnded) {
    this.reference = reference;
    this.consentEnded = consentEnded;
    this.video = byId("live-video");
    this.overlay = byId("live-overlay");
    this.frame = document.createElement("canvas");
    this.scale = new Scale(byId("live-scale"));
    this.webcam = new Webcam(this.video, () => this.#fail(new Problem(LOST)));
    byId("live-toggle").addEventListener("click", () => (this.isOn ? this.stop("Stopped. The camera is off.") : this.start()));
    byId("live-switch").addEventListener("click", () => {
      this.stop();
      this.webcam.turn();
      this.start();
    });
    // Nobody is filmed by a page that nobody looks at.
    document.addEventListener("visibilitychange", () => document.hidden && this.isOn && this.stop("Stopped, because the page was hidden. The camera is off."));
    window.addEventListener("pagehide", () => this.stop());
    reference.addEventListener("change", () => this.isOn && this.stop("Stopped, because the reference photo changed. The camera is off."));
    this.isOn = false;
  }

  async start() {
    showProblem(byId("live-error"), null);
    if (!this.knownPhotos && this.reference.obstacle) {
      this.reference.showObstacle();
      this.reference.focus();
      return;
    }
    const generation = (this.#generation += 1);
    this.#switch(true);
    this.#forget();
    byId("live").scrollIntoView({ block: "start" }); // video and verdict fit a phone's screen together
    try {
      const [portrait, opened] = await Promise.all([this.knownPhotos ? null : cutReference(this.reference), this.webcam.open(FRAME)]);
      if (!opened || generation !== this.#generation) return;
      this.overlay.classList.toggle("mirrored", this.webcam.mirrored);
      announce("Live comparison is on.");
      severalCameras().then((several) => show(several && this.isOn, byId("live-switch")));
      await this.#run(portrait, generation);
    } catch (error) {
      if (generation === this.#generation) this.#fail(error);
    }
  }

  /** Stop at once: the camera goes off before anything else happens. */
  stop(words = "") {
    this.webcam.close();
    this.flight?.abort();
    this.#generation += 1;
    if (!this.isOn) return;
    this.#switch(false);
    wipe(this.overlay);
    wipe(this.frame);
    byId("live-note").textContent = words || "The camera is off.";
    if (words) announce(words);
  }

  /** Stop, and take the last verdict away too. */
  clear() {
    this.stop();
    this.#forget();
    byId("live-note").textContent = "The camera’s light goes off when you stop.";
    showProblem(byId("live-error"), null);
    show(false, byId("live-result"));
  }

  // One frame at a time: the next is taken when the answer to the last is in, so that what
  // is drawn is never older than one answer. Where a camera stands still the last answer stands: the server
  // counts a frame that it has seen as a comparison, of which it allows far fewer.
  async #run(reference, generation) {
    let last = null;
    while (generation === this.#generation) {
      this.flight = new AbortController();
      try {
        const frame = await this.#grab();
        if (generation !== this.#generation) return;
        if (last && (await areAlike(frame, last.frame))) await pause(STILL_MS);
        else last = { frame, answer: await compareFrame(reference, frame, this.flight.signal) };
        if (generation !== this.#generation) return;
        this.#show(last.answer);
      } catch (error) {
        if (generation !== this.#generation) return;
        await this.#waitOrThrow(error);
      }
    }
  }

  async #waitOrThrow(error) {
    const waits = error instanceof Problem && ["busy", "not_enough_memory", "rate_limited", "warming_up"].includes(error.code);
    if (!waits) throw error;
    byId("live-note").textContent = "The server is busy. Carrying on in a moment.";
    await pause(1000 * Math.min(error.retryAfter ?? 1, 10));
    byId("live-note").textContent = "";
  }

  async #grab() {
    while (!this.video.videoWidth && this.webcam.isOpen) await pause(50);
    const scale = Math.min(1, FRAME.width / this.video.videoWidth);
    this.frame.width = Math.round(this.video.videoWidth * scale);
    this.frame.height = Math.round(this.video.videoHeight * scale);
    this.frame.getContext("2d").drawImage(this.video, 0, 0, this.frame.width, this.frame.height);
    return toJpeg(this.frame, FRAME_QUALITY);
  }

  #show(answer) {
    const now = performance.now();
    this.#countUpdate(now);
    this.#drawFace(answer.face);
    if (!answer.face) {
      if (now - this.seenAt > FORGET_MS) this.#showNobody();
      return;
    }
    this.#smooth(answer.similarity_score, now);
    const decision = this.score === null ? answer.decision : decide(this.score, answer.inconclusive_band);
    this.scale.show(this.score);
    setDecision(byId("live-verdict"), decision);
    [byId("live-word").textContent, byId("live-words").textContent] = verdictWords(decision, this.knownPhotos);
    if (answer.other_faces) byId("live-words").textContent += " There are several faces in view; the largest is compared.";
    this.#showSteadyQuality(answer.quality.frame, now);
    this.#announceSteady(decision, now);
  }

  // Grade and reasons differ from frame to frame: words change only once the new ones have stood for a while.
  #showSteadyQuality(quality, now) {
    const words = photoSentences(quality);
    if (words !== this.qualityWords) Object.assign(this, { qualityWords: words, gradedAt: now });
    if (this.quality !== null && now - this.gradedAt < STEADY_MS) return;
    this.quality = quality;
    showQuality(byId("live-quality"), quality);
  }

  // Out of scope there is no score, and the next one starts anew.
  #smooth(score, now) {
    const old = this.score === null ? 0 : Math.exp((this.seenAt - now) / SMOOTHING_MS);
    this.score = score === null ? null : old * (this.score ?? 0) + (1 - old) * score;
    this.seenAt = now;
  }

  #showNobody() {
    this.score = this.quality = null;
    this.scale.show(null);
    showQuality(byId("live-quality"), null);
    setDecision(byId("live-verdict"), "");
    byId("live-word").textContent = "Looking for a face…";
    byId("live-words").textContent = "";
    this.#announceSteady("", performance.now());
  }

  #announceSteady(decision, now) {
    if (decision !== this.decision) {
      this.decision = decision;
      this.decidedAt = now;
      this.announced = false;
    } else if (!this.announced && now - this.decidedAt > STEADY_MS) {
      this.announced = true;
      const photo = decision === "inconclusive" && this.quality ? ` ${photoSentences(this.quality)}` : "";
      announce(decision ? `${verdictWords(decision, this.knownPhotos).join(". ")}${photo}` : "No face in view.");
    }
  }

  #countUpdate(now) {
    // The last three always count, or a slow machine's rate would never be told.
    this.updates = [...this.updates.filter((time, index, all) => now - time < RATE_WINDOW_MS || index >= all.length - 2), now];
    const span = now - this.updates[0];
    if (this.updates.length < 3) return;
    const rate = (1000 * (this.updates.length - 1)) / span;
    byId("live-rate").textContent = `${rate.toFixed(1)} updates a second`;
    show(true, byId("live-rate"));
  }

  #drawFace(face) {
    const { overlay, frame } = this;
    [overlay.width, overlay.height] = [frame.width, frame.height];
    if (!face) return;
    const context = overlay.getContext("2d");
    const [x, y] = face.box_xyxy;
    for (const [width, colour] of [[6, "rgb(0 0 0 / 55%)"], [3, "#7dffd9"]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.beginPath();
      context.roundRect(x, y, widthOf(face.box_xyxy), heightOf(face.box_xyxy), 10);
      context.stroke();
    }
    context.fillStyle = "#7dffd9";
    for (const [px, py] of face.landmarks) {
      context.beginPath();
      context.arc(px + 0.5, py + 0.5, 3.5, 0, 2 * Math.PI);
      context.fill();
    }
  }

  #forget() {
    Object.assign(this, { qualityWords: "", gradedAt: 0, seenAt: -Infinity, updates: [], decision: null, decidedAt: 0, announced: false });
    this.#showNobody();
  }

  #switch(on) {
    this.isOn = on;
    byId("live-view").classList.toggle("running", on);
    showQuality(byId("live-quality"), null);
    show(on, this.video, this.overlay, byId("live-result"));
    show(!on, byId("live-empty"));
    show(false, byId("live-rate"), byId("live-switch"));
    const toggle = byId("live-toggle");
    show(on, toggle.querySelector("[data-when-on]"));
    show(!on, toggle.querySelector("[data-when-off]"));
    toggle.querySelector("[data-words]").textContent = on ? "Stop" : "Start live comparison";
    byId("live-note").textContent = "";
  }

  #fail(error) {
    this.stop();
    show(false, byId("live-result"));
    if (!(error instanceof Problem)) throw error;
    if (error.code === "consent_required") {
      this.consentEnded();
    } else if (error.photo === "reference" && error.code !== "several_faces") {
      this.reference.fail(error);
      this.reference.focus();
    } else {
      // Of several faces it would tell by their places in what was cut out, which are none in the photo.
      const problem = error.code === "several_faces" ? new Problem(CROWDED) : error;
      showProblem(byId("live-error"), problem);
      announce(`${problem.detail} ${problem.hint}`);
    }
  }
}

async function areAlike(one, other) {
  if (one.size !== other.size) return false;
  const [bytes, others] = (await Promise.all([one.arrayBuffer(), other.arrayBuffer()])).map((buffer) => new Uint8Array(buffer));
  return bytes.every((byte, index) => byte === others[index]);
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** The rule of the server's verifier, applied to a smoothed score. */
function decide(score, [low, high]) {
  if (score >= high) return "match";
  return score < low ? "non_match" : "inconclusive";
}

/**
 * Cut the chosen face out of the reference photo, small: it goes along with every frame.
 * Other faces of the photo are painted over, so that only the chosen one is meant.
 */
async function cutReference(slot) {
  const view = slot.box ? await slot.viewOf(slot.chosen) : await wholeOf(slot.file);
  if (!view) throw new Problem(UNSEEN);
  const size = slot.box ? slot.size : [view.picture.width, view.picture.height];
  const [left, top, width, height] = withMargin(slot.box?.box_xyxy ?? [0, 0, ...size], MARGIN, size);
  const scale = Math.min(1, REFERENCE_SIDE / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.setTransform(scale, 0, 0, scale, -left * scale, -top * scale);
  drawPart(context, view, left, top, width, height);
  coverOthers(context, view, slot.faces ?? [], slot.box);
  view.close();
  const blob = await toJpeg(canvas, REFERENCE_QUALITY);
  wipe(canvas);
  return blob;
}

async function wholeOf(file) {
  const picture = await decode(file);
  return picture && new View(picture);
}

// On a canvas whose coordinates are those of the photo.
function drawPart(context, view, left, top, width, height) {
  context.drawImage(view.picture, ...view.place([left, top]), width * view.scale, height * view.scale, left, top, width, height);
}

// Where boxes overlap, the pixels belong to the chosen face.
function coverOthers(context, view, faces, chosen) {
  const others = faces.filter((face) => face !== chosen);
  if (!others.length) return;
  context.fillStyle = "#808080";
  for (const { box_xyxy: box } of others) context.fillRect(box[0], box[1], widthOf(box), heightOf(box));
  const box = chosen.box_xyxy;
  drawPart(context, view, box[0], box[1], widthOf(box), heightOf(box));
}
