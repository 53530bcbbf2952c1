// The photos to train on. They live in this page alone: the server sees one at a time, with how
// the face stands in the others, and hands back the face that it cut out.

import { Problem, lookAtOwnPhoto } from "./api.js";
import { announce, byId, element, show, svg, wipe } from "./dom.js";
import { decode, fromBase64, paint, save } from "./pictures.js";
import { zip } from "./zip.js";

// What a photo lacks; what to do next is for the camera.
const firstSentence = (words) => words.replace(/(?<=\.) .*$/, "");
const judged = ({ counts, words }) => ({ counts, note: counts ? "" : firstSentence(words) });

export class Album extends EventTarget {
  #queue = Promise.resolve();
  #generation = 0;

  /**
   * @param {number} most photos that a training takes
   * @param {number} mostBytes of a file
   */
  constructor(most, mostBytes) {
    super();
    Object.assign(this, { most, mostBytes, photos: [], missing: [] });
    this.list = byId("album");
    byId("own-files").addEventListener("change", (event) => {
      this.addFiles([...event.target.files]);
      event.target.value = "";
    });
    byId("own-save").addEventListener("click", () => this.#save());
    byId("own-clear").addEventListener("click", () => {
      this.clear();
      byId("photos-heading").focus();
      announce("All photos were removed.");
    });
  }

  /** The photos to train on: neither copies of others, nor blurred, dark or glaring. */
  get counted() {
    return this.photos.filter(({ counts }) => counts);
  }

  get isFull() {
    return this.counted.length >= this.most;
  }

  get faces() {
    return this.counted.map(({ face }) => face);
  }

  /** Look at files one after the other: each is judged beside those before it. */
  addFiles(files) {
    const generation = this.#generation;
    this.#queue = this.#queue.then(async () => {
      for (const file of files) if (generation === this.#generation) await this.#addFile(file);
      if (generation === this.#generation) announce(`${this.#words()}, ${byId("left-out-list").children.length} not usable.`);
    });
    return this.#queue;
  }

  async #addFile(file) {
    const generation = this.#generation;
    try {
      if (this.isFull) throw new Problem({ code: "too_many", detail: `Training can use ${this.most} photos at most.` });
      if (file.size > this.mostBytes) throw new Problem({ code: "too_large", detail: `The file is larger than ${this.mostBytes / 1024 ** 2} MB, the limit.` });
      const seen = await lookAtOwnPhoto(file, this.#looks());
      if (generation === this.#generation) await this.add(file, seen, false);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (generation !== this.#generation) return;
      if (["consent_required", "own_face_closed"].includes(error.code)) this.dispatchEvent(new CustomEvent("closed", { detail: error }));
      this.#leaveOut(file.name, error.detail);
    }
  }

  /** Judge a camera's frame, and keep it if it is worth it. */
  async offer(frame, signal) {
    const seen = await lookAtOwnPhoto(frame, this.#looks(), signal);
    if (seen.kept && !signal.aborted) await this.add(frame, seen, true);
    return seen;
  }

  // How many there are to train on, and how many more that add nothing.
  #words() {
    const [counting, others] = [this.counted.length, this.photos.length - this.counted.length];
    return `${counting} ${counting === 1 ? "photo" : "photos"} to train on${others ? `, ${others} that ${others === 1 ? "adds" : "add"} nothing` : ""}`;
  }

  #looks(but = null) {
    return this.counted.filter((photo) => photo !== but).map(({ look }) => look);
  }

  /** Take a photo that the server has looked at. */
  async add(blob, seen, taken) {
    const photo = { blob, taken, look: seen.look, ...judged(seen), face: fromBase64(seen.face_png, "image/png") };
    photo.canvas = document.createElement("canvas");
    const picture = await decode(photo.face);
    paint(photo.canvas, picture);
    picture.close();
    this.photos.push(photo);
    this.missing = seen.missing;
    this.#changed();
  }

  /** Forget all photos. */
  clear() {
    this.#generation += 1;
    for (const { canvas } of this.photos) wipe(canvas);
    Object.assign(this, { photos: [], missing: [] });
    byId("left-out-list").replaceChildren();
    show(false, byId("left-out"));
    this.#changed();
  }

  #remove(photo) {
    const place = this.photos.indexOf(photo);
    this.photos.splice(place, 1);
    wipe(photo.canvas);
    this.#changed();
    announce(`Photo ${place + 1} removed.`);
    (this.list.children[Math.min(place, this.photos.length - 1)]?.querySelector("button") ?? byId("photos-heading")).focus();
    this.#queue = this.#queue.then(() => this.#askAnew());
  }

  // What is missing without a photo, and whether its copies count now, only the server knows: it
  // looks at these again, and at the last one.
  async #askAnew() {
    const again = new Set(this.photos.filter((photo) => !photo.counts || photo === this.photos.at(-1)));
    try {
      for (const photo of again) {
        const seen = await lookAtOwnPhoto(photo.blob, this.#looks(photo));
        if (!this.photos.includes(photo)) continue;
        Object.assign(photo, judged(seen));
        this.missing = seen.missing;
      }
    } catch (error) {
      if (!(error instanceof Problem)) throw error; // what is left stays as it was until the next photo
    }
    this.#changed();
  }

  #leaveOut(name, words) {
    byId("left-out-list").append(element("li", {}, element("b", {}, name), `: ${words}`));
    show(true, byId("left-out"));
  }

  async #save() {
    const taken = this.photos.filter((photo) => photo.taken);
    const files = taken.map(({ blob }, index) => ({ name: `me-${String(index + 1).padStart(2, "0")}.jpg`, blob }));
    save(await zip(files), "my_photos.zip");
  }

  #changed() {
    const count = this.photos.length;
    if (!count) this.missing = [];
    this.list.replaceChildren(...this.photos.map((photo, index) => this.#row(photo, index)));
    byId("photo-count").textContent = count ? this.#words() : "";
    byId("missing-list").replaceChildren(...this.missing.map((words) => element("li", {}, words)));
    show(this.missing.length > 0, byId("missing"));
    show(count > 0, byId("own-clear"));
    show(this.photos.some(({ taken }) => taken), byId("own-save"));
    this.dispatchEvent(new Event("change"));
  }

  #row(photo, index) {
    photo.canvas.setAttribute("role", "img");
    photo.canvas.setAttribute("aria-label", `Face of photo ${index + 1}`);
    const remove = element("button", { type: "button", "aria-label": `Remove photo ${index + 1}` },
      svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: "M6 6l12 12M18 6L6 18" })));
    remove.addEventListener("click", () => this.#remove(photo));
    const row = element("li", {}, photo.canvas, element("span", { class: "album-number", "aria-hidden": "true" }, String(index + 1)), remove);
    if (photo.note) row.append(element("p", { class: "album-note" }, photo.note));
    return row;
  }
}
