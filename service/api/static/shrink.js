/** Images that exceed the service's bounds are made smaller before they are sent. */

import {ServiceError} from "./api.js";

const QUALITY = 0.92;

/**
 * Returns {blob, from, to}: what to send, and the sizes [width, height] in pixels if the browser had to save it again.
 * Throws ServiceError where the browser cannot read a file that is too large to be sent as it is.
 */
export async function fit(file, {bodyBytes, imagePixels}) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) {
    if (file.size > bodyBytes) throw new ServiceError("shrink.unreadable");
    return {blob: file}; // the service reads formats that browsers do not
  }
  const from = [bitmap.width, bitmap.height];
  let scale = Math.min(1, Math.sqrt(imagePixels / (from[0] * from[1])));
  if (scale === 1 && file.size <= bodyBytes) return {blob: file};
  for (;;) {
    const to = from.map((side) => Math.max(1, Math.floor(side * scale)));
    const blob = await drawn(bitmap, to);
    if (blob.size <= bodyBytes) return {blob, from, to};
    if (Math.max(...to) === 1) throw new ServiceError("shrink.unreadable");
    scale *= 0.8;
  }
}

async function drawn(bitmap, [width, height]) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // JPEG has no transparency; the service puts it on white too
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  return canvas.convertToBlob({type: "image/jpeg", quality: QUALITY});
}
