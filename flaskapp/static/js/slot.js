// One of the photos: where it comes from, what is found in it, which face is meant.

import { Problem, detectFaces } from "./api.js";
import { announce, byId, show, showProblem, wipe } from "./dom.js";
import { drawOutlines, listPictures, markButtons, obviousFace, placeButtons, prominent } from "./faces.js";
import { decode, paint } from "./pictures.js";
import { View, closePictures, decodePictures, showsAlike } from "./views.js";
import { photoSentences, showQuality } from "./words.js";

// Of a photo with faces that this browser shows not at all, or not as the server read it.
const UNSEEN = "Your browser cannot show this photo, perhaps because it is HEIC. It can still be compared.";
const SEEN_OTHERWISE = "Your browser shows this photo differently from how it is compared, perhaps turned another way.";
const FOUND_ONE = "Here is the face that the server found.";
const FOUND_SEVERAL = "Here are the faces that the server found, from left to right.";

const NO_FACE = {
  code: "no_face",
  detail: "No face was found.",
  hint: "Use a photo that shows one face from the front, upright, well lit and not cut off.",
};

const noFace = (notes) => new Problem({ ...NO_FACE, hint: [NO_FACE.hint, ...notes].join(" ") });

/** What is wrong with a file that has more bytes than the server accepts, or null. */
export function tooLarge(file, mostBytes) {
  if (file.size <= mostBytes) return null;
  const size = (file.size / 1024 ** 2).toFixed(1);
  return { code: "too_large", detail: `The file has ${size} MB; the limit is ${mostBytes / 1024 ** 2} MB.`, hint: "Save it as JPEG, or make it smaller." };
}

export class PhotoSlot extends EventTarget {
  /**
   * @param {string} label "reference" or "probe"
   * @param {number} mostBytes largest file that the server accepts
   * @param {HTMLElement} root without a file field it takes one photo, which is there until it is removed
   */
  constructor(label, mostBytes, root = byId(`${label}-slot`)) {
    super();
    this.label = label;
    this.name = label === "reference" ? "Reference photo" : "Probe photo";
    this.mostBytes = mostBytes;
    this.root = root;
    this.input = root.querySelector("input[type=file]");
    this.errorBox = root.querySelector(".error");
    for (const part of ["drop", "stage", "picture", "outlines", "choices", "cuts", "unseen", "empty", "remove", "note", "quality"]) {
      this[part] = this.root.querySelector(`[data-${part}]`);
    }
    this.hint = this.note.textContent;
    if (this.input) this.#listen();
    this.remove.addEventListener("click", () => this.#removeByHand());
    this.#empty(); // what the server said of a photo that was sent by the plain form stays until another is chosen
  }

  #listen() {
    this.input.required = false; // the browser's own message would come before ours
    this.input.addEventListener("change", () => this.input.files[0] && this.take(this.input.files[0]));
    // So that the same file can be chosen again: browsers report changes only.
    this.input.addEventListener("click", () => (this.input.value = ""));
    this.input.addEventListener("cancel", () => this.file && this.#fillInput(this.file));
    this.empty.addEventListener("click", () => this.input.click());
  }

  /** Be one of several references, by its number. */
  call(number) {
    this.label = `reference ${number}`;
    this.name = `Reference photo ${number}`;
    this.root.setAttribute("aria-label", this.name);
    this.root.querySelector("[data-title]").textContent = `Photo ${number}`;
    this.root.querySelector("[data-removes]").textContent = ` reference photo ${number}`;
    this.picture.setAttribute("aria-label", this.name);
  }

  /** Forget the photo and all that was drawn of it. */
  clear() {
    this.#empty();
    this.#showProblem(null);
    this.#changed();
  }

  #empty() {
    this.work?.abort();
    this.file = null;
    this.faces = null;
    this.chosen = null;
    this.problem = null;
    this.size = null;
    this.foundSize = null;
    this.seen = false;
    this.alike = null; // whether this browser shows the photo as the server read it, once that is known
    closePictures(this.pictures ?? []);
    this.pictures = [];
    if (this.input) this.input.value = "";
    wipe(this.picture);
    this.outlines.replaceChildren();
    this.choices.replaceChildren();
    this.cuts.replaceChildren();
    this.note.textContent = this.hint;
    showQuality(this.quality, null);
    this.drop.classList.remove("filled", "over");
    this.root.dataset.state = "empty";
    show(false, this.stage, this.cuts, this.unseen, this.remove);
    show(true, this.empty);
  }

  /** Take a photo, wherever it comes from, and look for its faces. */
  async take(file) {
    this.clear();
    const problem = tooLarge(file, this.mostBytes);
    if (problem) return this.refuse(problem);
    this.file = file;
    this.#fillInput(file);
    this.root.dataset.state = "reading";
    this.note.textContent = "Looking for faces…";
    show(false, this.empty);
    show(true, this.remove);
    this.drop.classList.add("filled");
    this.#changed();
    const work = (this.work = new AbortController());
    await Promise.all([this.#preview(file, work.signal), this.#detect(file, work.signal)]);
    if (!work.signal.aborted) this.#settle();
    return undefined;
  }

  /** Say that something else than a photo was given. */
  refuse(problem) {
    this.#showProblem(problem);
    announce(`${this.name}: ${problem.detail} ${problem.hint ?? ""}`);
  }

  /** What stands in the way of comparing this photo, or null. */
  get obstacle() {
    if (!this.file) return this.problem ?? { code: "missing_photo", detail: "There is no photo here yet.", hint: "Choose a file, drop one, paste one or use the webcam." };
    if (this.problem && !this.problem.passing) return this.problem;
    if (this.faces && this.chosen === null) return this.#askForFace();
    return null;
  }

  /** The chosen face's number, as the server counts them, 1 is the leftmost; none where there is no other. */
  get number() {
    return this.chosen === null || this.faces.length === 1 ? null : this.chosen + 1;
  }

  get box() {
    return this.chosen === null ? null : this.faces[this.chosen];
  }

  showObstacle() {
    this.#showProblem(this.obstacle);
  }

  /** Take over what the comparison found wrong with this photo. */
  async fail(problem) {
    if (problem.code === "several_faces") {
      await this.take(this.file); // the first look failed: whose faces these are must be seen
      problem = this.problem ?? this.#askForFace();
    }
    this.problem = problem;
    this.#showProblem(problem);
  }

  focus() {
    const face = this.choices.querySelector("button") ?? this.cuts.querySelector("button");
    (this.file && this.chosen === null && face ? face : (this.input ?? this.remove)).focus();
  }

  async #preview(file, signal) {
    const picture = await decode(file);
    if (signal.aborted) return picture?.close();
    this.seen = picture !== null;
    if (picture) {
      this.size = [picture.width, picture.height];
      paint(this.picture, picture);
      picture.close();
      this.#showStage();
    } else {
      this.#sayUnseen(UNSEEN);
    }
    return undefined;
  }

  async #detect(file, signal) {
    try {
      const found = await detectFaces(file, signal);
      const pictures = await decodePictures(found.pictures);
      if (signal.aborted) return closePictures(pictures);
      this.pictures = pictures;
      this.faces = found.faces;
      this.notes = found.notes;
      this.foundSize = found.photo_size_wh;
      this.chosen = obviousFace(found.faces);
      this.problem = found.faces.length ? null : noFace(found.notes);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      this.problem = error;
    }
  }

  #settle() {
    if (this.faces) this.alike = this.seen && showsAlike(this.picture, this.size, this.foundSize, this.pictures);
    this.size = this.foundSize ?? this.size;
    this.root.dataset.state = this.problem ? "failed" : "ready";
    if (this.faces?.length) this.#drawFaces();
    if (!this.seen && this.problem && !this.problem.passing) show(false, this.unseen);
    if (!this.seen && !this.faces?.length) show(this.problem !== null, this.empty);
    this.note.textContent = this.problem ? this.hint : this.#foundWords();
    this.#showProblem(this.problem);
    if (this.problem) announce(`${this.name}: ${this.problem.detail} ${this.problem.hint}`);
    else this.#tellFound();
    if (this.problem?.code === "consent_required") this.dispatchEvent(new Event("consent"));
    this.#changed();
  }

  /** Draw the found faces, and make them buttons if one must be chosen. */
  #drawFaces() {
    if (!this.alike) return this.#drawPictures();
    closePictures(this.pictures);
    this.pictures = [];
    drawOutlines(this.outlines, this.size, this.faces, this.chosen);
    if (this.faces.length > 1) {
      placeButtons(this.choices, this.size, this.faces, (index) => this.#choose(index));
      markButtons(this.choices, this.chosen);
    }
    return undefined;
  }

  #drawPictures() {
    show(false, this.stage);
    wipe(this.picture);
    show(true, this.cuts);
    this.#sayUnseen(`${this.seen ? SEEN_OTHERWISE : UNSEEN} ${this.faces.length > 1 ? FOUND_SEVERAL : FOUND_ONE}`);
    listPictures(this.cuts, this.pictures, (index) => this.#choose(index));
    markButtons(this.cuts, this.chosen);
  }

  #sayUnseen(words) {
    this.unseen.textContent = words;
    show(true, this.unseen);
  }

  #showStage() {
    this.stage.style.setProperty("--ratio", String(this.size[0] / this.size[1]));
    show(true, this.stage);
  }

  /**
   * What a face can be drawn from as the server saw it, or null; to be closed after use.
   *
   * @param {number} index which face
   */
  async viewOf(index) {
    if (this.alike) {
      const picture = await decode(this.file);
      return picture && new View(picture);
    }
    const cut = this.pictures[index];
    return cut ? new View(await createImageBitmap(cut.picture), cut.box) : null;
  }

  #choose(index) {
    this.chosen = index;
    this.problem = null;
    if (this.alike) drawOutlines(this.outlines, this.size, this.faces, index);
    markButtons(this.alike ? this.choices : this.cuts, index);
    this.note.textContent = this.#foundWords();
    this.#showProblem(null);
    this.#tellFound();
    this.#changed();
  }

  // Who was found, and how good a photo it is of the one who is meant.
  #tellFound() {
    const quality = this.box?.quality ?? null;
    showQuality(this.quality, quality);
    announce(`${this.name}: ${this.note.textContent}${quality ? ` ${photoSentences(quality)}` : ""}`);
  }

  #foundWords() {
    const count = this.faces?.length ?? 0;
    const more = (this.notes ?? []).map((note) => ` ${note}`).join("");
    if (count === 1) return `One face found.${more}`;
    if (this.chosen === null) return `${count} faces found. Choose the one you mean.${more}`;
    return `${count} faces found; face ${this.number} from the left is compared.${more}`;
  }

  #askForFace() {
    return new Problem({
      code: "several_faces",
      detail: `This photo shows ${prominent(this.faces).length} faces.`,
      hint: this.alike ? "Choose the one you mean in the photo." : "Choose the picture of the one you mean.",
      faces: this.faces,
    });
  }

  // So that the form holds the photo too, wherever it came from.
  #fillInput(file) {
    if (!this.input || this.input.files[0] === file) return;
    try {
      const transfer = new DataTransfer();
      transfer.items.add(file);
      this.input.files = transfer.files;
    } catch {
      this.input.value = ""; // an old browser: the script sends the photo anyway
    }
  }

  #removeByHand() {
    this.clear();
    announce(`${this.name} removed.`);
    this.input?.focus();
    this.dispatchEvent(new Event("removed"));
  }

  #showProblem(problem) {
    showProblem(this.errorBox, problem);
    if (problem) this.input?.setAttribute("aria-invalid", "true");
    else this.input?.removeAttribute("aria-invalid");
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
