/** Downloads: files that the page has fetched itself, since a link could not send the API key. */

/** Saves a blob as a file. */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  saveFrom(address, name);
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** Saves what is at a blob: or data: address as a file. */
export function saveFrom(address, name) {
  Object.assign(document.createElement("a"), {href: address, download: name}).click();
}

/** Returns an image of a blob, decoded but not yet shown. Rejects where the browser cannot read it. */
export async function load(blob) {
  const image = Object.assign(new Image(), {src: URL.createObjectURL(blob)});
  await image.decode().catch((error) => {
    URL.revokeObjectURL(image.src);
    throw error;
  });
  return image;
}

/** Shows what `load` has returned in an image, in place of an earlier one. */
export function put(image, loaded) {
  if (image.src) URL.revokeObjectURL(image.src);
  image.src = loaded.src;
}
