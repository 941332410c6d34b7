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

/** Shows a blob in an image, in place of an earlier one. */
export function showBlob(image, blob) {
  if (image.src) URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(blob);
  return image.decode();
}
