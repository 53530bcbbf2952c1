// What a found face can be drawn from: the photo as this browser shows it, or what the server cut out.
//
// Browsers and the server do not turn every photo alike (Chromium passes over the orientation of
// WebP, for one), and some photos a browser cannot show at all. So the page looks at what it
// decoded: where the server found a face, there the same picture must be.

import { heightOf, widthOf } from "./geometry.js";
import { decode, fromBase64 } from "./pictures.js";

const GRID = 24; // grey values across and down that are compared
const ALIKE = 0.9; // least correlation

/** The pictures of the faces that came along with them, decoded. */
export function decodePictures(pictures) {
  return Promise.all(pictures.map(async ({ jpeg, box_xyxy: box }) => ({ box, picture: await decode(fromBase64(jpeg, "image/jpeg")) })));
}

export function closePictures(pictures) {
  for (const { picture } of pictures) picture?.close();
}

/**
 * Whether a photo that was decoded here shows every face where the server found it.
 *
 * @param {HTMLCanvasElement} canvas the photo, reduced perhaps
 * @param {number[]} size width and height that the photo has here
 * @param {number[]} foundSize those that it has on the server
 * @param {{box: number[], picture: ImageBitmap}[]} pictures of the faces, cut by the server
 */
export function showsAlike(canvas, size, foundSize, pictures) {
  if (size[0] !== foundSize[0] || size[1] !== foundSize[1]) return false;
  const scale = canvas.width / size[0];
  return pictures.every(({ box, picture }) => {
    const here = greys(canvas, box[0] * scale, box[1] * scale, widthOf(box) * scale, heightOf(box) * scale);
    return correlation(here, greys(picture, 0, 0, picture.width, picture.height)) >= ALIKE;
  });
}

function greys(source, left, top, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = GRID;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff"; // as the server does below transparent pixels
  context.fillRect(0, 0, GRID, GRID);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, left, top, width, height, 0, 0, GRID, GRID);
  const { data } = context.getImageData(0, 0, GRID, GRID);
  return Array.from({ length: GRID * GRID }, (_, index) => 0.3 * data[4 * index] + 0.6 * data[4 * index + 1] + 0.1 * data[4 * index + 2]);
}

// Other colours and another gamma than the server's leave it near 1; another part of the photo does not.
function correlation(first, second) {
  const [a, b] = [first, second].map((values) => {
    const middle = values.reduce((sum, value) => sum + value, 0) / values.length;
    return values.map((value) => value - middle);
  });
  const product = (x, y) => x.reduce((sum, value, index) => sum + value * y[index], 0);
  return product(a, b) / Math.sqrt(product(a, a) * product(b, b) || 1);
}

/** The whole photo, or one cut of it, with where the photo's points lie in it. */
export class View {
  constructor(picture, [left, top, right] = [0, 0, picture.width]) {
    Object.assign(this, { picture, left, top, scale: picture.width / (right - left) });
  }

  /** A point that counts from the photo's edge, in the picture. */
  place([x, y]) {
    return [(x - this.left) * this.scale, (y - this.top) * this.scale];
  }

  /** Landmarks, which count from the middle of the first pixel. */
  landmarks(points) {
    return points.map(([x, y]) => this.place([x + 0.5, y + 0.5]).map((value) => value - 0.5));
  }

  close() {
    this.picture.close();
  }
}
