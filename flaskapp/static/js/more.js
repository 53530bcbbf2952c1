// More photos of the reference person: one row of sources for all, and a slot for each.

import { announce, byId, show, showProblem } from "./dom.js";
import { PhotoSlot, tooLarge } from "./slot.js";

export class MoreReferences extends EventTarget {
  file = true; // what is pasted goes to the two slots first, unless the focus is here

  /** @param {number} mostBytes largest file that the server accepts */
  constructor(mostBytes) {
    super();
    this.mostBytes = mostBytes;
    this.root = this.drop = byId("more");
    this.most = Number(this.root.dataset.most);
    this.input = byId("more-file");
    this.slots = [];
    this.input.addEventListener("change", () => {
      const files = [...this.input.files];
      this.input.value = "";
      this.takeAll(files);
    });
  }

  takeAll(files) {
    this.refuse(null);
    for (const file of files) this.take(file);
  }

  /** Give a photo a slot of its own, wherever it comes from. */
  take(file) {
    const problem = this.#isFull ? { code: "several_photos", detail: `This page compares with ${this.most} photos of one person at most.`, hint: "Remove one to add another." } : tooLarge(file, this.mostBytes);
    if (problem) {
      this.refuse(problem);
      return;
    }
    const root = byId("tile").content.firstElementChild.cloneNode(true);
    byId("more-slots").append(root);
    const slot = new PhotoSlot("reference", this.mostBytes, root);
    this.slots.push(slot);
    slot.addEventListener("removed", () => this.#remove(slot));
    for (const type of ["change", "consent"]) slot.addEventListener(type, () => this.dispatchEvent(new Event(type)));
    this.#number();
    slot.take(file);
  }

  /** Say that no photo can be taken, or with null nothing. */
  refuse(problem) {
    showProblem(byId("more-error"), problem);
    if (problem) announce(`${problem.detail} ${problem.hint}`);
  }

  clear() {
    for (const slot of this.slots) {
      slot.clear();
      slot.root.remove();
    }
    this.slots = [];
    this.refuse(null);
    this.#number();
  }

  get name() {
    return "Another photo of this person";
  }

  get #isFull() {
    return this.slots.length + 1 >= this.most;
  }

  #remove(slot) {
    slot.root.remove();
    this.slots = this.slots.filter((other) => other !== slot);
    this.refuse(null);
    this.#number();
    this.input.focus();
    this.dispatchEvent(new Event("change"));
  }

  // They are numbered as they are sent: the first reference has a slot that is always there.
  #number() {
    this.slots.forEach((slot, index) => slot.call(index + 2));
    show(!this.#isFull, byId("more-sources"));
  }
}
