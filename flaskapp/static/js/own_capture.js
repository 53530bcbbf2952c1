// The guided capture: frames of the webcam, one at a time, until nothing is missing.

import { Problem } from "./api.js";
import { announce, byId, show, showProblem, wipe } from "./dom.js";
import { toJpeg } from "./pictures.js";
import { LOST, Webcam } from "./webcam.js";

const SIZE = { width: 1280, height: 960 };
const QUALITY = 0.95;
const MOST_WAIT_S = 10;

export class Capture {
  #generation = 0;

  /** @param {Album} album takes what is worth it */
  constructor(album) {
    this.album = album;
    this.video = byId("capture-video");
    this.frame = document.createElement("canvas");
    this.webcam = new Webcam(this.video, () => this.#fail(new Problem(LOST)));
    byId("capture-toggle").addEventListener("click", () => (this.isOn ? this.stop("Stopped. The camera is off.") : this.start()));
    // Nobody is filmed by a page that nobody looks at.
    document.addEventListener("visibilitychange", () => document.hidden && this.stop("Stopped, because the page was hidden. The camera is off."));
    window.addEventListener("pagehide", () => this.stop());
    this.isOn = false;
  }

  async start() {
    showProblem(byId("capture-error"), null);
    const generation = (this.#generation += 1);
    this.#switch(true);
    byId("capture").scrollIntoView({ block: "nearest" }); // on a phone it would be below the screen
    try {
      if (!(await this.webcam.open(SIZE)) || generation !== this.#generation) return;
      announce("The camera is on. Look straight into it.");
      await this.#run(generation);
    } catch (error) {
      if (generation === this.#generation) this.#fail(error);
    }
  }

  /** Stop at once: the camera goes off before anything else happens. */
  stop(words = "") {
    this.webcam.close();
    this.flight?.abort();
    this.#generation += 1;
    wipe(this.frame);
    if (!this.isOn) return;
    this.#switch(false);
    if (words) announce(words);
  }

  async #run(generation) {
    while (generation === this.#generation) {
      if (this.album.isFull) return this.stop("That is as many photos as training can use. The camera is off.");
      const flight = (this.flight = new AbortController());
      try {
        const seen = await this.album.offer(await this.#grab(), flight.signal);
        if (generation !== this.#generation) return undefined;
        if (seen.finished) return this.stop(`${seen.missing.length ? "There is no room for more photos" : "Nothing is missing"}. The camera is off.`);
        this.#say(`${seen.kept ? `Photo ${this.album.photos.length} taken. ` : ""}${seen.words}`);
      } catch (error) {
        if (generation !== this.#generation) return undefined;
        await this.#goOn(error);
      }
    }
    return undefined;
  }

  // A frame that shows nobody, or a busy server, is no reason to stop.
  async #goOn(error) {
    if (!(error instanceof Problem)) throw error;
    if (error.photo === "photo") this.#say(`${error.detail} ${error.hint}`);
    else if (["busy", "not_enough_memory", "rate_limited", "warming_up"].includes(error.code)) {
      this.#say("The server is busy. Carrying on in a moment.");
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(error.retryAfter ?? 1, MOST_WAIT_S)));
    } else throw error;
  }

  async #grab() {
    while (!this.video.videoWidth && this.webcam.isOpen) await new Promise((resolve) => setTimeout(resolve, 50));
    [this.frame.width, this.frame.height] = [this.video.videoWidth, this.video.videoHeight];
    this.frame.getContext("2d").drawImage(this.video, 0, 0);
    return toJpeg(this.frame, QUALITY);
  }

  #say(words) {
    const next = byId("capture-next");
    if (next.textContent === words) return;
    next.textContent = words;
    announce(words);
  }

  #switch(on) {
    this.isOn = on;
    show(on, byId("capture"));
    byId("capture-words").textContent = on ? "Stop the webcam" : "Take photos with the webcam";
    byId("capture-next").textContent = "Waiting for the camera…";
  }

  #fail(error) {
    this.stop();
    if (!(error instanceof Problem)) throw error;
    showProblem(byId("capture-error"), error);
    announce(`${error.detail} ${error.hint}`);
  }
}
