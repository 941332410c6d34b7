// Calls every route with the client that openapi-generator makes for Java: URL of the service, image, output folder.

import com.fasterxml.jackson.databind.ObjectMapper;
import ganclient.ApiClient;
import ganclient.ApiException;
import ganclient.api.MnistApi;
import ganclient.api.ModelsApi;
import ganclient.api.StatusApi;
import ganclient.api.TranslateApi;
import ganclient.model.DigitChoice;
import ganclient.model.ModelInfo;
import ganclient.model.Problem;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;

public class OpenapiGenerator {
    private static Path out;

    /** Writes what a call returns, or its error, to a file named after the operation. */
    private static void write(String operation, Callable<byte[]> call) throws IOException {
        try {
            Files.write(out.resolve(operation), call.call());
        } catch (Exception error) {
            Files.writeString(out.resolve(operation + ".error"), error.toString());
        }
    }

    public static void main(String[] arguments) throws IOException {
        File image = new File(arguments[1]);
        out = Path.of(arguments[2]);
        ApiClient client = new ApiClient();
        client.updateBaseUri(arguments[0]);
        TranslateApi translator = new TranslateApi(client);
        StatusApi status = new StatusApi(client);

        write("sampleDigits", () -> Files.readAllBytes(new MnistApi(client)
            .sampleDigits(null, 4, "9007199254740993", "png", null, null, null, null).toPath()));
        write("interpolateDigits", () -> Files.readAllBytes(new MnistApi(client)
            .interpolateDigits("9007199254740993", "7", null, 3, "png", null, null, null).toPath()));
        write("sampleChosenDigits", () -> Files.readAllBytes(new MnistApi(client)
            .sampleChosenDigits(new DigitChoice().addSeedsItem("9007199254740993").addSeedsItem("7"),
                null, "png", null, null).toPath()));
        write("translateImage", () -> Files.readAllBytes(translator
            .translateImage("horse2zebra", image, null, "128", null, null, null).toPath()));
        write("listModels", () -> new ModelsApi(client).listModels().getModels().stream()
            .map(ModelInfo::getId).collect(Collectors.joining(" ")).getBytes());
        write("checkLive", () -> status.checkLive().getStatus().toString().getBytes());
        write("checkReady", () -> status.checkReady().getStatus().toString().getBytes());
        write("checkStartup", () -> status.checkStartup().getStatus().toString().getBytes());
        write("getMetrics", () -> status.getMetrics().getBytes());
        write("problem", () -> {
            try {
                translator.translateImage("cat2dog", image, null, null, null, null, null);
            } catch (ApiException error) {
                Problem problem = new ObjectMapper().readValue(error.getResponseBody(), Problem.class);
                return (problem.getStatus() + " " + problem.getType()).getBytes();
            }
            throw new IllegalStateException("no error");
        });
    }
}
