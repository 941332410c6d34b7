/** Downloads: files that the page has fetched itself, since a link could not send the API key. */

/** Saves a blob as a file. */
export function save(blob, name) {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(blob);
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 60_000);
}

/** Shows a blob in an image, in place of an earlier one. */
export function showBlob(image, blob) {
  if (image.src) URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(blob);
  return image.decode();
}
