/** Prometheus' text format. */

/** Returns {name, labels, value} of each sample of a scrape. */
export function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const found = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found) continue;
    const labels = Object.fromEntries(
      [...(found[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value]),
    );
    samples.push({name: found[1], labels, value: Number(found[3])});
  }
  return samples;
}

/** Returns the value of a model's sample, or 0 before its first event. */
export function valueOf(samples, name, model) {
  return samples.find((sample) => sample.name === name && sample.labels.model === model)?.value ?? 0;
}
