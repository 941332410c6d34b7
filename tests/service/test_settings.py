from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import CliApp

from service.settings import BUNDLED_MODELS, Settings, mistyped


def test_defaults_serve_the_bundled_models_to_this_machine_only() -> None:
    settings = Settings()
    assert (settings.host, settings.port, settings.device) == ("127.0.0.1", 8000, "auto")
    assert settings.models == BUNDLED_MODELS == Path(__file__).parents[2] / "models"


def test_the_environment_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_PORT", "9000")
    monkeypatch.setenv("GAN_MODELS", "/srv/models")
    monkeypatch.setenv("GAN_TIMEOUT_SECONDS", "2.5")
    settings = Settings()
    assert (settings.port, settings.models, settings.timeout_seconds) == (9000, Path("/srv/models"), 2.5)


def test_flags_set() -> None:
    settings = CliApp.run(Settings, ["--port", "9001", "--queue-size", "3", "--log-level", "error"])
    assert (settings.port, settings.queue_size, settings.log_level) == (9001, 3, "error")


def test_the_management_port_may_be_any_free_one_beside_any_free_one() -> None:
    settings = CliApp.run(Settings, ["--port", "0", "--management-port", "0"])
    assert (settings.port, settings.management_port) == (0, 0)


def test_flags_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_PORT", "9000")
    monkeypatch.setenv("GAN_QUEUE_SIZE", "7")
    settings = CliApp.run(Settings, ["--port", "9001"])
    assert (settings.port, settings.queue_size) == (9001, 7)


def test_batch_sizes_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_BATCH_SIZES", "1,3,9")
    assert Settings().batch_sizes == (1, 3, 9)
    assert CliApp.run(Settings, ["--batch-sizes", "2,8"]).batch_sizes == (2, 8)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "65536"),
        ("port", "-1"),
        ("port", "http"),
        ("device", "gpu"),
        ("threads", "-1"),
        ("batch_sizes", "0"),
        ("batch_sizes", "1025"),
        ("batch_sizes", "one"),
        ("batch_pictures", "0"),
        ("timeout_seconds", "inf"),
        ("timeout_seconds", "86401"),
        ("cuda_conv_search", "fast"),
        ("cuda_memory_bytes", "-1"),
        ("queue_size", "0"),
        ("timeout_seconds", "0"),
        ("body_bytes", "0"),
        ("image_pixels", "0"),
        ("model_pixels", "100"),
        ("shutdown_seconds", "-1"),
        ("management_port", "65536"),
        ("management_port", "8000"),
        ("log_level", "loud"),
        ("log_format", "xml"),
        ("root_path", "gan"),
        ("root_path", "/gan/"),
        ("root_path", "/gan?x"),
    ],
)
def test_a_bad_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"GAN_{name.upper()}", value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert {error["loc"][0] for error in caught.value.errors()} == {name}


def test_origins_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_CORS_ORIGINS", "https://app.example.org, http://localhost:3000")
    assert Settings().cors_origins == ("https://app.example.org", "http://localhost:3000")


@pytest.mark.parametrize("origin", ["app.example.org", "https://app.example.org/", "https://a.org/page", ""])
def test_what_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("GAN_CORS_ORIGINS", origin)
    with pytest.raises(ValidationError, match="cors_origins"):
        Settings()


def test_help_explains_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        CliApp.run(Settings, ["--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert field.description
        assert " ".join(field.description.split()).split(";")[0].split(",")[0] in text


def test_a_mistyped_variable_is_told_with_the_nearest_setting() -> None:
    environment = [
        "GAN_TIMOUT_SECONDS",
        "gan_port",
        "GAN_PORTS",
        "GAN_QUEUE_SIZE",
        "GAN_MEMORY",
        "GANDALF",
        "GAN_CLIENT_KEY",
    ]
    assert mistyped(environment) == {"GAN_TIMOUT_SECONDS": "GAN_TIMEOUT_SECONDS", "GAN_PORTS": "GAN_PORT"}
