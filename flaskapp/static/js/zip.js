// A zip archive of files as they are: what is saved of a capture is one download. The layout is
// that of PKWARE's APPNOTE, sections 4.3.7 (local header), 4.3.12 (central directory) and 4.3.16.

const encoder = new TextEncoder();
const EARLIEST = 0x21; // 1 January 1980, the first day that the format knows

const table = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** Numbers of two or four bytes, the small end first. */
function packed(...pairs) {
  const view = new DataView(new ArrayBuffer(pairs.reduce((sum, [size]) => sum + size, 0)));
  let at = 0;
  for (const [size, value] of pairs) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return new Uint8Array(view.buffer);
}

/** @param {{name: string, blob: Blob}[]} files */
export async function zip(files) {
  const [parts, directory] = [[], []];
  let offset = 0;
  for (const { name, blob } of files) {
    const [label, bytes] = [encoder.encode(name), new Uint8Array(await blob.arrayBuffer())];
    const shared = packed([2, 20], [2, 0x0800], [2, 0], [2, 0], [2, EARLIEST], [4, crc32(bytes)], [4, bytes.length], [4, bytes.length], [2, label.length], [2, 0]);
    parts.push(packed([4, 0x04034b50]), shared, label, bytes);
    directory.push(packed([4, 0x02014b50], [2, 20]), shared, packed([2, 0], [2, 0], [2, 0], [4, 0], [4, offset]), label);
    offset += 4 + shared.length + label.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = packed([4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, size], [4, offset], [2, 0]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}
