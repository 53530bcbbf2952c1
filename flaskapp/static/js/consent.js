// Step 1, and its end: giving consent, seeing it run out, withdrawing it.

import { Problem, giveConsent, readConsent, withdrawConsent } from "./api.js";
import { announce, byId, markTick, showProblem } from "./dom.js";

const TICKS = [
  ["consent-box", "Tick this box if you agree. Without it, no photo is looked at."],
  ["age-box", "Tick this box if you are 18 or older. This page is for adults only."],
];
const ENDED = {
  code: "consent_required",
  detail: "Your consent has ended.",
  hint: "Agree again to carry on. The photos you chose are still on this page and nowhere else.",
};

const LEAST_WAIT_MS = 3000;
const MOST_WAIT_MS = 2 ** 31 - 1; // a browser's timers take no more: they would go off at once

export class Consent extends EventTarget {
  #timer = null;

  constructor() {
    super();
    this.form = byId("consent-form");
    this.errorBox = byId("consent-error");
    this.form.noValidate = true;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#give();
    });
    for (const [id] of TICKS) byId(id).addEventListener("change", () => markTick(id, null));
    byId("withdraw-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#withdraw();
    });
  }

  /** Learn from the server whether consent stands. */
  async check() {
    try {
      this.#stands(await readConsent());
      return true;
    } catch (error) {
      if (error.code === "consent_required") return false;
      return byId("consent").hidden; // unknown: as the page was served
    }
  }

  /** Untick the boxes, and say why the page asks again. */
  askAgain(problem = new Problem(ENDED)) {
    clearTimeout(this.#timer);
    this.form.reset();
    for (const [id] of TICKS) markTick(id, null);
    showProblem(this.errorBox, problem);
  }

  async #give() {
    showProblem(this.errorBox, null);
    const missing = TICKS.filter(([id, words]) => markTick(id, byId(id).checked ? null : words));
    if (missing.length) {
      byId(missing[0][0]).focus();
      return;
    }
    try {
      this.#stands(await giveConsent(this.form.elements.notice_version.value, true, true));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      showProblem(this.errorBox, error);
      announce(`${error.detail} ${error.hint}`);
      return;
    }
    this.form.reset();
    this.dispatchEvent(new Event("given"));
  }

  #stands({ expires_at: expiresAt }) {
    const end = new Date(expiresAt);
    const today = end.toDateString() === new Date().toDateString();
    const day = today ? {} : { weekday: "short", day: "numeric", month: "short" };
    const time = end.toLocaleString([], { ...day, hour: "2-digit", minute: "2-digit" });
    byId("consent-until").textContent = `Agreed until ${time}`;
    clearTimeout(this.#timer);
    // The server's clock decides, not this one: it is asked when the time seems to be up.
    this.#timer = setTimeout(() => this.#askWhetherItEnded(), Math.min(Math.max(end - Date.now(), LEAST_WAIT_MS), MOST_WAIT_MS));
  }

  async #askWhetherItEnded() {
    if (!(await this.check())) this.dispatchEvent(new Event("ended"));
  }

  // What the page holds goes first: that must not wait for the server.
  async #withdraw() {
    this.dispatchEvent(new Event("withdrawn"));
    try {
      await withdrawConsent();
      announce("Consent withdrawn. Everything on this page was forgotten.");
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const detail = "This page has forgotten everything, but it could not reach the server.";
      this.askAgain(new Problem({ ...error, detail, hint: "Your consent there will end by itself, when the server stops at the latest." }));
    }
  }
}
