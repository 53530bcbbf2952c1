// Found faces, drawn over a photo: outlines for everyone, buttons where one must be chosen.

import { element, svg } from "./dom.js";
import { heightOf, widthOf } from "./geometry.js";
import { paint } from "./pictures.js";

/** The faces large enough to be meant; the server tells, and so draws the line in one place. */
export const prominent = (faces) => faces.flatMap((face, index) => (face.prominent === false ? [] : [index]));

/** The face that needs no choice: the only one, or the only prominent one. */
export function obviousFace(faces) {
  const candidates = prominent(faces);
  return candidates.length === 1 ? candidates[0] : null;
}

/**
 * Draw the outlines of all faces.
 *
 * @param {SVGElement} layer lies over the photo
 * @param {number[]} size width and height of the photo
 * @param {number|null} chosen index of the face that is meant
 */
export function drawOutlines(layer, size, faces, chosen) {
  layer.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
  layer.setAttribute("preserveAspectRatio", "none");
  layer.replaceChildren(...faces.map((face, index) => outline(face, chosen === null ? "open" : index === chosen ? "chosen" : "passed", size)));
}

function outline(face, role, size) {
  const [x, y] = face.box_xyxy;
  const [width, height] = [widthOf(face.box_xyxy), heightOf(face.box_xyxy)];
  const box = { x, y, width, height, rx: width * 0.08 };
  const radius = Math.max(width * 0.022, Math.max(...size) * 0.0035);
  const points = face.landmarks.map(([cx, cy]) => svg("circle", { class: "landmark", cx: cx + 0.5, cy: cy + 0.5, r: radius }));
  return svg("g", { class: `outline-group ${role}` },
    svg("rect", { class: "outline-shade", ...box }), svg("rect", { class: "outline", ...box }), ...points);
}

/** Put a button over every face. */
export function placeButtons(layer, size, faces, choose) {
  layer.replaceChildren(...faces.map((face, index) => button(face, index, faces.length, size, choose)));
}

function button(face, index, count, [width, height], choose) {
  const made = element("button", { type: "button", class: "face-choice", ...namesOf(index, count) }, number(index));
  // Positions come from the photo, so no style sheet can hold them.
  made.style.left = `${(100 * face.box_xyxy[0]) / width}%`;
  made.style.top = `${(100 * face.box_xyxy[1]) / height}%`;
  made.style.width = `${(100 * widthOf(face.box_xyxy)) / width}%`;
  made.style.height = `${(100 * heightOf(face.box_xyxy)) / height}%`;
  made.addEventListener("click", () => choose(index));
  return made;
}

/** List faces by the pictures that the server cut; each is a button where one must be chosen. */
export function listPictures(list, pictures, choose) {
  const several = pictures.length > 1;
  list.replaceChildren(...pictures.map(({ picture }, index) => {
    const words = several ? { "aria-hidden": "true" } : { role: "img", "aria-label": "The face that was found" };
    const canvas = element("canvas", { class: "cut", ...words });
    paint(canvas, picture);
    if (!several) return canvas;
    const made = element("button", { type: "button", class: "cut-choice", ...namesOf(index, pictures.length) }, canvas, number(index));
    made.addEventListener("click", () => choose(index));
    return made;
  }));
}

const namesOf = (index, count) => ({ "aria-pressed": "false", "aria-label": `Face ${index + 1} of ${count}, from the left` });
const number = (index) => element("span", { class: "face-number", "aria-hidden": "true" }, String(index + 1));

export function markButtons(layer, chosen) {
  layer.querySelectorAll("button").forEach((made, index) => made.setAttribute("aria-pressed", String(index === chosen)));
}
