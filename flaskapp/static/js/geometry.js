// From a photo's pixels to the aligned face, as the server cuts it.

/**
 * The similarity transform that carries five landmarks nearest to the template.
 *
 * Least squares over the complex numbers: z → turn · z + shift (Umeyama, 1991). A landmark at
 * 0 is the middle of the first pixel, while a canvas counts from the pixel's edge; hence the
 * halves.
 *
 * @param {number[][]} landmarks five points, in the photo's pixels
 * @param {number[][]} template five points, in the crop's pixels
 * @param {number} scale canvas pixels a crop pixel
 * @returns {number[]} the arguments of CanvasRenderingContext2D.setTransform
 */
export function similarity(landmarks, template, scale = 1) {
  const source = landmarks.map(([x, y]) => [x + 0.5, y + 0.5]);
  const target = template.map(([x, y]) => [(x + 0.5) * scale, (y + 0.5) * scale]);
  const [sx, sy] = mean(source);
  const [tx, ty] = mean(target);
  let real = 0;
  let imaginary = 0;
  let spread = 0;
  source.forEach(([x, y], index) => {
    const [dx, dy] = [x - sx, y - sy];
    const [ex, ey] = [target[index][0] - tx, target[index][1] - ty];
    real += dx * ex + dy * ey;
    imaginary += dx * ey - dy * ex;
    spread += dx * dx + dy * dy;
  });
  const [a, b] = [real / spread, imaginary / spread];
  return [a, b, -b, a, tx - (a * sx - b * sy), ty - (b * sx + a * sy)];
}

function mean(points) {
  const sum = points.reduce(([x, y], [px, py]) => [x + px, y + py], [0, 0]);
  return [sum[0] / points.length, sum[1] / points.length];
}

/** Draw the aligned face of a photo so that it fills a square canvas. */
export function drawAligned(canvas, picture, landmarks, template, cropSize) {
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.setTransform(...similarity(landmarks, template, canvas.width / cropSize));
  context.drawImage(picture, 0, 0);
}

export const widthOf = ([left, , right]) => right - left;
export const heightOf = ([, top, , bottom]) => bottom - top;

/**
 * A box with a margin, kept inside the photo.
 *
 * @returns {number[]} left, top, width, height in whole pixels
 */
export function withMargin(box, margin, [photoWidth, photoHeight]) {
  const room = margin * Math.max(widthOf(box), heightOf(box));
  const left = Math.max(Math.floor(box[0] - room), 0);
  const top = Math.max(Math.floor(box[1] - room), 0);
  const right = Math.min(Math.ceil(box[2] + room), photoWidth);
  const bottom = Math.min(Math.ceil(box[3] + room), photoHeight);
  return [left, top, right - left, bottom - top];
}
