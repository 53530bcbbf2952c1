// What the page asks of the server. Every failure becomes a Problem, whatever went wrong.

const PATIENCE_MS = 60_000;

/** A request that failed: the server's problem+json, or what the browser knows of it. */
export class Problem extends Error {
  constructor({ code, detail, hint = "", photo = null, faces = [], status = 0, retryAfter = null }) {
    super(detail);
    Object.assign(this, { name: "Problem", code, detail, hint, photo, faces, status, retryAfter });
  }

  /** Whether the same request may succeed later: the photo is not to blame. */
  get passing() {
    return ["unreachable", "rate_limited", "busy", "not_enough_memory", "warming_up", "internal_error"].includes(this.code);
  }
}

export function giveConsent(noticeVersion, consent, ageConfirmed) {
  const stated = { notice_version: noticeVersion, consent, age_confirmed: ageConfirmed };
  return ask("/api/v1/consent", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(stated),
  });
}

export const readConsent = () => ask("/api/v1/consent");
export const withdrawConsent = () => ask("/api/v1/consent", { method: "DELETE", keepalive: true });

export function detectFaces(photo, signal) {
  return ask("/api/v1/detect", { method: "POST", body: form({ photo, pictures: "yes" }), signal });
}

/**
 * Compare photos of one person with another.
 *
 * @param {PhotoSlot[]} references at least one
 * @param {PhotoSlot} probe
 */
export async function verify(references, probe, signal) {
  const fields = { reference: references.map(({ file }) => file), probe: probe.file, probe_face: probe.number };
  references.forEach(({ number }, index) => (fields[index ? `reference_${index + 1}_face` : "reference_face"] = number));
  return ofThisPage(await ask("/api/v1/verify", { method: "POST", body: form(fields), signal }));
}

export async function compareFrame(reference, frame, signal) {
  return ofThisPage(await ask("/api/v1/live", { method: "POST", body: form({ reference, frame }), signal }));
}

// Band, name and warnings on the page are those of the weights that it was loaded with.
function ofThisPage(answer) {
  if (answer.model === document.getElementById("main").dataset.model) return answer;
  throw new Problem({ code: "weights_changed", detail: "The server now compares with different weights.", hint: "Reload the page." });
}

/** Ask what the server thinks of a photo of oneself, beside those whose looks go along. */
export function lookAtOwnPhoto(photo, looks, signal) {
  return ask("/api/v1/own-face/photo", { method: "POST", body: form({ photo, looks: JSON.stringify(looks) }), signal });
}

export const readOwnFace = () => ask("/api/v1/own-face");
export const forgetOwnFace = () => ask("/api/v1/own-face", { method: "DELETE" });
export const cancelOwnTraining = () => ask("/api/v1/own-face/training", { method: "DELETE" });

export function trainOwnFace(faces) {
  const body = form({ keep_model: "yes" });
  for (const face of faces) body.append("face", face, "face");
  return ask("/api/v1/own-face/training", { method: "POST", body });
}

export function useOwnModel(own) {
  return ask("/api/v1/own-face/use", { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ own }) });
}

/** Fetch one of the server's own pictures. */
export async function fetchFile(url) {
  try {
    const response = await fetch(url);
    const blob = await response.blob();
    if (response.ok) return new File([blob], url.split("/").at(-1), { type: blob.type });
  } catch {
    // answered below, as if it were absent
  }
  throw unreachable();
}

function form(fields) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value === null || value === undefined) continue;
    // The file's own name says more about a person than the server needs to know.
    if (value instanceof Blob) body.append(name, value, name);
    else if (Array.isArray(value)) for (const file of value) body.append(name, file, name);
    else body.append(name, String(value));
  }
  return body;
}

async function ask(path, { signal, ...options } = {}) {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  const signals = signal ? [signal, patience] : [patience];
  let response;
  try {
    response = await fetch(path, {
      ...options,
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      signal: AbortSignal.any ? AbortSignal.any(signals) : signals[0],
    });
    if (response.ok) return response.status === 204 ? null : await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw unreachable();
  }
  throw await problemOf(response);
}

function unreachable() {
  return new Problem({
    code: "unreachable",
    detail: "The server is not answering.",
    hint: "Check that it is running and that you are connected to it, then try again.",
  });
}

async function problemOf(response) {
  const retryAfter = Number(response.headers.get("Retry-After")) || null;
  const told = await response.json().catch(() => null);
  if (!told?.code) {
    return new Problem({ code: "internal_error", detail: "The server could not answer.", hint: "Try again in a moment.", status: response.status, retryAfter });
  }
  return new Problem({ ...told, status: response.status, retryAfter });
}
