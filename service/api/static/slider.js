/** A slider between two images of one size: a range input moves the edge between them. */

/** Makes the input of `root` uncover the second image. */
export function start(root) {
  const input = root.querySelector("input");
  const move = () => root.style.setProperty("--edge", `${input.value}%`);
  input.addEventListener("input", move);
  move();
}
