// The result as one picture, drawn in the browser.

import { place, scoreWords } from "./scale.js";

const WIDTH = 1200;
const HEIGHT = 980;
const FACE = 256;
const LONG = 180; // letters of a sentence
const SCALE = 570; // where the band begins, below all that may be said of two poor photos
const EDGE = 72;
const FONT = 'system-ui, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif';
// The page's light colours: a saved picture is read on any ground.
const INK = "#151a23";
const QUIET = "#535c6c";
const TONES = { match: "#0b6a5a", non_match: "#9a2750", inconclusive: "#7a5300", out_of_scope: QUIET };
const BAND = "#e6c77f";

/**
 * Draw the report.
 *
 * @param {{answer: object, faces: object, photos: object, word: string, sentence: string, counts: string, note: string}} result
 * @returns {HTMLCanvasElement}
 */
export function drawReport({ answer, faces, photos, word, sentence, counts, note }) {
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, WIDTH, HEIGHT);
  drawFace(context, faces.reference, answer.known_photos ? "You" : "Reference", photos.reference, EDGE);
  drawFace(context, faces.probe, "Probe", photos.probe, EDGE + 280);
  write(context, word, 650, 160, `700 64px ${FONT}`, TONES[answer.decision]);
  writeWrapped(context, sentence, 650, 215, WIDTH - 650 - EDGE, sentence.length > LONG ? 22 : 26, INK);
  const scored = answer.similarity_score !== null;
  if (scored) drawScale(context, answer);
  const lines = [counts, "A photo of a photo would pass: this is not a liveness check.", note].filter(Boolean);
  lines.reduce((y, line) => writeWrapped(context, line, EDGE, y, WIDTH - 2 * EDGE, 26, INK) + 8, SCALE + (scored ? 155 : 0));
  const made = new Date(answer.compared_at).toLocaleString([], { dateStyle: "long", timeStyle: "short" });
  write(context, `Compared ${made} with the weights ${answer.model}`, EDGE, HEIGHT - 56, `20px ${FONT}`, QUIET);
  return canvas;
}

function drawFace(context, face, label, photo, x) {
  const middle = x + FACE / 2;
  context.fillStyle = "#eef0f5";
  context.fillRect(x, EDGE, FACE, FACE);
  if (face) context.drawImage(face, x, EDGE, FACE, FACE);
  else if (label !== "You") write(context, "cannot be shown", middle, EDGE + 134, `20px ${FONT}`, QUIET, "center");
  write(context, label, middle, EDGE + 292, `24px ${FONT}`, QUIET, "center");
  writeWrapped(context, photo, middle, EDGE + 322, FACE, 20, INK, "center");
}

function drawScale(context, answer) {
  const [low, high] = answer.inconclusive_band;
  const across = (score) => EDGE + place(score) * (WIDTH - 2 * EDGE);
  const zones = [[0, low, TONES.non_match], [low, high, BAND], [high, 1, TONES.match]];
  for (const [from, to, colour] of zones) {
    context.fillStyle = colour;
    context.fillRect(across(from), SCALE, across(to) - across(from), 24);
  }
  context.fillStyle = INK;
  context.fillRect(across(answer.threshold) - 1, SCALE - 8, 2, 40);
  const x = across(answer.similarity_score);
  context.beginPath();
  context.moveTo(x, SCALE - 2);
  context.lineTo(x - 13, SCALE - 22);
  context.lineTo(x + 13, SCALE - 22);
  context.fill();
  const room = Math.min(Math.max(x, EDGE + 190), WIDTH - EDGE - 190);
  write(context, `Similarity score ${scoreWords(answer.similarity_score, [low, high])}`, room, SCALE - 36, `700 30px ${FONT}`, INK, "center");
  const [below, from, middle] = [low, high, answer.threshold].map((value) => value.toFixed(3));
  write(context, `Non-match below ${below} · match from ${from}${low < high ? " · inconclusive between" : ""} · threshold ${middle}`, EDGE, SCALE + 72, `22px ${FONT}`, QUIET);
}

function write(context, words, x, y, font, colour, align = "left") {
  context.font = font;
  context.fillStyle = colour;
  context.textAlign = align;
  context.fillText(words, x, y);
}

/** Write a paragraph; returns where the next one starts. */
function writeWrapped(context, words, x, y, width, size, colour, align = "left") {
  context.font = `${size}px ${FONT}`;
  let line = "";
  let at = y;
  for (const word of words.split(" ")) {
    if (line && context.measureText(`${line} ${word}`).width > width) {
      write(context, line, x, at, context.font, colour, align);
      line = word;
      at += size * 1.4;
    } else {
      line = line ? `${line} ${word}` : word;
    }
  }
  write(context, line, x, at, context.font, colour, align);
  return at + size * 1.4;
}
