// Calls every route with openapi-fetch, typed by openapi-typescript: URL of the service, image, output folder.
import { readFile, writeFile } from "node:fs/promises";
import createClient from "openapi-fetch";
import type { paths } from "./ganclient.js";

const [service, image, out] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: service });

// Writes what a call returns, or its error, to a file named after the operation.
async function write(operation: string, call: () => Promise<string | ArrayBuffer>): Promise<void> {
  try {
    const found = await call();
    await writeFile(`${out}/${operation}`, typeof found === "string" ? found : Buffer.from(found));
  } catch (error) {
    await writeFile(`${out}/${operation}.error`, String(error));
  }
}

function present<T>({ data, error }: { data?: T; error?: unknown }): T {
  if (data === undefined) throw new Error(JSON.stringify(error));
  return data;
}

// The document's binary strings are files here.
async function form() {
  const file = new Blob([new Uint8Array(await readFile(image))], { type: "image/png" });
  return {
    body: { file: file as unknown as string },
    bodySerializer: () => {
      const fields = new FormData();
      fields.append("file", file, "image.png");
      return fields;
    },
  };
}

await write("sampleDigits", async () =>
  present(
    await client.GET("/mnist/sample", {
      params: { query: { seed: "9007199254740993", count: 4 } },
      parseAs: "arrayBuffer",
    }),
  ),
);
await write("interpolateDigits", async () =>
  present(
    await client.GET("/mnist/interpolate", {
      params: { query: { from: "9007199254740993", to: "7", steps: 3 } },
      parseAs: "arrayBuffer",
    }),
  ),
);
await write("sampleChosenDigits", async () =>
  present(
    await client.POST("/mnist/sample", { body: { seeds: ["9007199254740993", "7"] }, parseAs: "arrayBuffer" }),
  ),
);
await write("translateImage", async () =>
  present(
    await client.POST("/translate/{direction}", {
      params: { path: { direction: "horse2zebra" }, query: { size: "128" } },
      ...(await form()),
      parseAs: "arrayBuffer",
    }),
  ),
);
await write("listModels", async () => present(await client.GET("/models")).models.map((model) => model.id).join(" "));
await write("checkLive", async () => present(await client.GET("/healthz/live")).status ?? "");
await write("checkReady", async () => present(await client.GET("/healthz/ready")).status ?? "");
await write("checkStartup", async () => present(await client.GET("/healthz/startup")).status ?? "");
await write("getMetrics", async () => present(await client.GET("/metrics", { parseAs: "text" })));
await write("problem", async () => {
  const { error } = await client.POST("/translate/{direction}", {
    params: { path: { direction: "cat2dog" } },
    ...(await form()),
    parseAs: "arrayBuffer",
  });
  return `${error?.status} ${error?.type}`;
});
