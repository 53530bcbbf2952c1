// The dialog that takes one photo with the webcam: preview, capture, retake.

import { Problem } from "./api.js";
import { announce as announceIn, byId, show, showProblem, wipe } from "./dom.js";
import { toJpeg } from "./pictures.js";
import { LOST, Webcam, severalCameras } from "./webcam.js";

const SIZE = { width: 1280, height: 960 };
const QUALITY = 0.95;

// Whatever lies behind an open dialog is silent, the page's own status too.
const announce = (words) => announceIn(words, byId("camera-status"));

export class CameraDialog {
  constructor() {
    this.dialog = byId("camera");
    this.video = byId("camera-video");
    this.still = byId("camera-still");
    this.errorBox = byId("camera-error");
    this.buttons = Object.fromEntries(["shoot", "use", "retake", "switch"].map((name) => [name, byId(`camera-${name}`)]));
    this.webcam = new Webcam(this.video, () => this.#fail(new Problem(LOST)));
    byId("camera-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => this.#forget());
    this.buttons.shoot.addEventListener("click", () => this.#shoot());
    this.buttons.use.addEventListener("click", () => this.#use());
    this.buttons.retake.addEventListener("click", () => this.#preview());
    this.buttons.switch.addEventListener("click", () => {
      this.webcam.turn();
      this.#preview();
    });
  }

  /**
   * Open the dialog.
   *
   * @param {string} title of the dialog
   * @param {(photo: File) => void} taken receives the photo, if one is taken
   */
  open(title, taken) {
    byId("camera-title").textContent = title;
    this.taken = taken;
    this.dialog.showModal();
    this.#preview();
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  async #preview() {
    showProblem(this.errorBox, null);
    wipe(this.still);
    show(false, this.still, this.buttons.use, this.buttons.retake, this.buttons.switch);
    show(true, byId("camera-view"), this.video, this.buttons.shoot, byId("camera-wait"));
    this.buttons.shoot.disabled = true;
    try {
      if (!(await this.webcam.open(SIZE))) return;
    } catch (error) {
      this.#fail(error);
      return;
    }
    show(false, byId("camera-wait"));
    this.buttons.shoot.disabled = false;
    this.buttons.shoot.focus();
    announce("The camera is on.");
    show(await severalCameras(), this.buttons.switch);
  }

  #shoot() {
    if (!this.video.videoWidth) return;
    this.still.width = this.video.videoWidth;
    this.still.height = this.video.videoHeight;
    this.still.getContext("2d").drawImage(this.video, 0, 0);
    this.webcam.close();
    show(false, this.video, this.buttons.shoot, this.buttons.switch);
    show(true, this.still, this.buttons.use, this.buttons.retake);
    byId("camera-retake-words").textContent = "Retake";
    this.buttons.use.focus();
    announce("Photo taken. The camera is off.");
  }

  async #use() {
    const blob = await toJpeg(this.still, QUALITY);
    const { taken } = this;
    this.dialog.close();
    taken(new File([blob], "webcam.jpg", { type: "image/jpeg" }));
  }

  #fail(problem) {
    if (!(problem instanceof Problem)) throw problem;
    showProblem(this.errorBox, problem);
    announce(`${problem.detail} ${problem.hint}`);
    show(false, byId("camera-view"), this.buttons.shoot, this.buttons.use, this.buttons.switch);
    byId("camera-retake-words").textContent = "Try again";
    show(true, this.buttons.retake);
    this.buttons.retake.focus();
  }

  #forget() {
    this.webcam.close();
    wipe(this.still);
    this.taken = null;
  }
}
