// Calls every route with the client that openapi-generator makes for Go: URL of the service, image, output folder.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"clients/ganclient"
)

// contents reads a file that the client has written.
func contents(file *os.File, _ interface{}, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	return io.ReadAll(file)
}

func healthOf(health *ganclient.Health, _ interface{}, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return []byte(health.GetStatus()), nil
}

func main() {
	service, image, out := os.Args[1], os.Args[2], os.Args[3]
	configuration := ganclient.NewConfiguration()
	configuration.Servers = ganclient.ServerConfigurations{{URL: service}}
	client, ctx := ganclient.NewAPIClient(configuration), context.Background()

	// write writes what a call returns, or its error, to a file named after the operation.
	write := func(operation string, call func() ([]byte, error)) {
		body, err := call()
		name := filepath.Join(out, operation)
		if err != nil {
			name, body = name+".error", []byte(err.Error())
		}
		if err := os.WriteFile(name, body, 0o644); err != nil {
			panic(err)
		}
	}
	upload := func() *os.File {
		file, err := os.Open(image)
		if err != nil {
			panic(err)
		}
		return file
	}

	write("sampleDigits", func() ([]byte, error) {
		file, response, err := client.MnistAPI.SampleDigits(ctx).Seed("9007199254740993").Count(4).Format("png").Execute()
		return contents(file, response, err)
	})
	write("interpolateDigits", func() ([]byte, error) {
		file, response, err := client.MnistAPI.InterpolateDigits(ctx).
			From("9007199254740993").To("7").Steps(3).Format("png").Execute()
		return contents(file, response, err)
	})
	write("sampleChosenDigits", func() ([]byte, error) {
		choice := ganclient.DigitChoice{Seeds: []string{"9007199254740993", "7"}}
		file, response, err := client.MnistAPI.SampleChosenDigits(ctx).DigitChoice(choice).Format("png").Execute()
		return contents(file, response, err)
	})
	write("translateImage", func() ([]byte, error) {
		file, response, err := client.TranslateAPI.TranslateImage(ctx, "horse2zebra").File(upload()).Size("128").Execute()
		return contents(file, response, err)
	})
	write("listModels", func() ([]byte, error) {
		list, _, err := client.ModelsAPI.ListModels(ctx).Execute()
		if err != nil {
			return nil, err
		}
		var ids []string
		for _, model := range list.Models {
			ids = append(ids, model.Id)
		}
		return []byte(strings.Join(ids, " ")), nil
	})
	write("checkLive", func() ([]byte, error) {
		health, response, err := client.StatusAPI.CheckLive(ctx).Execute()
		return healthOf(health, response, err)
	})
	write("checkReady", func() ([]byte, error) {
		health, response, err := client.StatusAPI.CheckReady(ctx).Execute()
		return healthOf(health, response, err)
	})
	write("checkStartup", func() ([]byte, error) {
		health, response, err := client.StatusAPI.CheckStartup(ctx).Execute()
		return healthOf(health, response, err)
	})
	write("getMetrics", func() ([]byte, error) {
		metrics, _, err := client.StatusAPI.GetMetrics(ctx).Execute()
		return []byte(metrics), err
	})
	write("problem", func() ([]byte, error) {
		_, _, err := client.TranslateAPI.TranslateImage(ctx, "cat2dog").File(upload()).Execute()
		var failure *ganclient.GenericOpenAPIError
		if !errors.As(err, &failure) {
			return nil, fmt.Errorf("no problem document but %v", err)
		}
		problem, ok := failure.Model().(ganclient.Problem)
		if !ok {
			return nil, fmt.Errorf("no problem document: %w", err)
		}
		return []byte(fmt.Sprintf("%d %s", problem.Status, problem.Type)), nil
	})
}
