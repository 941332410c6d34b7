// Calls every route with openapi-generator's typescript-fetch client: URL of the service, image, output folder.
import { readFile, writeFile } from "node:fs/promises";
import {
  Configuration,
  MnistApi,
  ModelsApi,
  ProblemFromJSON,
  ResponseError,
  StatusApi,
  TranslateApi,
} from "./ganclient/index.js";

const [service, image, out] = process.argv.slice(2);
const configuration = new Configuration({ basePath: service });
const status = new StatusApi(configuration);

// Writes what a call returns, or its error, to a file named after the operation.
async function write(operation: string, call: () => Promise<string | Blob>): Promise<void> {
  try {
    const found = await call();
    await writeFile(`${out}/${operation}`, typeof found === "string" ? found : Buffer.from(await found.arrayBuffer()));
  } catch (error) {
    await writeFile(`${out}/${operation}.error`, String(error));
  }
}

const file = new Blob([new Uint8Array(await readFile(image))], { type: "image/png" });
const digits = new MnistApi(configuration);
const translator = new TranslateApi(configuration);

await write("sampleDigits", () => digits.sampleDigits({ seed: "9007199254740993", count: 4 }));
await write("interpolateDigits", () => digits.interpolateDigits({ from: "9007199254740993", to: "7", steps: 3 }));
await write("sampleChosenDigits", () =>
  digits.sampleChosenDigits({ digitChoice: { seeds: ["9007199254740993", "7"] } }),
);
await write("translateImage", () => translator.translateImage({ direction: "horse2zebra", size: "128", file }));
await write("listModels", async () =>
  (await new ModelsApi(configuration).listModels()).models.map((model) => model.id).join(" "),
);
await write("checkLive", async () => String((await status.checkLive()).status));
await write("checkReady", async () => String((await status.checkReady()).status));
await write("checkStartup", async () => String((await status.checkStartup()).status));
await write("getMetrics", () => status.getMetrics());
await write("problem", async () => {
  try {
    await translator.translateImage({ direction: "cat2dog", file });
  } catch (error) {
    if (!(error instanceof ResponseError)) throw error;
    const problem = ProblemFromJSON(await error.response.json());
    return `${problem.status} ${problem.type}`;
  }
  throw new Error("no error");
});
