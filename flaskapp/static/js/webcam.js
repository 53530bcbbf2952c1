// The webcam: opened for one purpose, and always closed again.

import { Problem } from "./api.js";

const INSECURE = {
  code: "camera_insecure",
  detail: "Browsers open the camera only on https:// pages and on localhost.",
  hint: "On the computer that runs this server, open the page as http://localhost with the same port, or choose a file.",
};

const REASONS = {
  NotAllowedError: {
    code: "camera_denied",
    detail: "The camera was not allowed.",
    hint: "Allow it for this page, beside the address, then try again; or choose a file.",
  },
  NotFoundError: { code: "camera_absent", detail: "No camera was found.", hint: "Connect one, then try again; or choose a file." },
  NotReadableError: {
    code: "camera_busy",
    detail: "The camera is in use elsewhere.",
    hint: "Close the program or page that uses it, then try again; or choose a file.",
  },
};
// Names under which browsers report the same, older ones included.
const ALIASES = {
  SecurityError: "NotAllowedError",
  PermissionDeniedError: "NotAllowedError",
  OverconstrainedError: "NotFoundError",
  DevicesNotFoundError: "NotFoundError",
  AbortError: "NotReadableError",
  TrackStartError: "NotReadableError",
};
const UNKNOWN = { code: "camera_failed", detail: "The camera could not be opened.", hint: "Try again, or choose a file." };

export const LOST = { code: "camera_lost", detail: "The camera was disconnected.", hint: "Connect it, then try again; or choose a file." };

export class Webcam {
  #stream = null;
  #generation = 0;

  /**
   * @param {HTMLVideoElement} video shows the stream
   * @param {() => void} lost is called when the camera goes away by itself
   */
  constructor(video, lost) {
    this.video = video;
    this.lost = lost;
    this.facing = "user";
  }

  get isOpen() {
    return this.#stream !== null;
  }

  /**
   * Open the camera and wait for its first picture.
   *
   * @param {{width: number, height: number}} size that is wished for
   * @returns {Promise<boolean>} false if it was closed again in the meantime
   * @throws {Problem} it cannot be opened
   */
  async open(size) {
    this.close();
    const generation = this.#generation;
    const stream = await request({ width: { ideal: size.width }, height: { ideal: size.height }, facingMode: this.facing });
    if (generation !== this.#generation) {
      stopTracks(stream);
      return false;
    }
    this.#stream = stream;
    stream.getVideoTracks()[0].addEventListener("ended", () => {
      if (this.#stream === stream) {
        this.close();
        this.lost();
      }
    });
    this.video.srcObject = stream;
    await this.video.play().catch(() => {});
    this.#mirror(stream);
    return generation === this.#generation;
  }

  /** Switch the camera off: its light goes out. */
  close() {
    this.#generation += 1;
    if (this.#stream) stopTracks(this.#stream);
    this.#stream = null;
    this.video.srcObject = null;
  }

  /** Take turns between the front and the rear camera, at the next opening. */
  turn() {
    this.facing = this.facing === "user" ? "environment" : "user";
  }

  // One's own picture is expected as in a mirror; what a rear camera sees is not.
  #mirror(stream) {
    const facing = stream.getVideoTracks()[0].getSettings().facingMode ?? this.facing;
    this.mirrored = facing !== "environment";
    this.video.classList.toggle("mirrored", this.mirrored);
  }
}

async function request(video) {
  if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) throw new Problem(INSECURE);
  try {
    return await navigator.mediaDevices.getUserMedia({ video, audio: false });
  } catch (error) {
    throw new Problem(REASONS[ALIASES[error.name] ?? error.name] ?? UNKNOWN);
  }
}

function stopTracks(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/** Whether there is more than one camera to choose from; known only after one was allowed. */
export async function severalCameras() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter((device) => device.kind === "videoinput").length > 1;
}
