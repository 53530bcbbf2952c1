// Decoding photos in the browser, to show them; what is compared is the file itself.

/** Decode a photo upright, or return null if this browser cannot (HEIC, mostly). */
export async function decode(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return null;
  }
}

/** A file that the server sent within JSON. */
export function fromBase64(text, type) {
  return new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], { type });
}

const LARGEST_SIDE = 1400;

/** Draw a decoded photo on a canvas, small enough to be cheap. */
export function paint(canvas, picture) {
  const scale = Math.min(1, LARGEST_SIDE / Math.max(picture.width, picture.height));
  canvas.width = Math.max(Math.round(picture.width * scale), 1);
  canvas.height = Math.max(Math.round(picture.height * scale), 1);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
}

export function toJpeg(canvas, quality) {
  return toBlob(canvas, "image/jpeg", quality);
}

export function toPng(canvas) {
  return toBlob(canvas, "image/png");
}

function toBlob(canvas, type, quality) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The canvas could not be saved."))), type, quality);
  });
}

/** Hand a blob to the browser's download, and let go of it. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The download holds the data by now; a pending address would keep the photo in memory.
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
