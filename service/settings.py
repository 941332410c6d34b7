"""The settings of the service: GAN_ environment variables, and flags of `gan-serve`, which take precedence."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.nearest import nearest

_PACKAGE = Path(__file__).resolve().parent
BUNDLED_MODELS = _PACKAGE / "models" if (_PACKAGE / "models").is_dir() else _PACKAGE.parent / "models"
"""A wheel carries the models inside the package; in a checkout they lie beside it."""

PREFIX = "GAN_"
"""Begins the name of every variable."""
NOT_OURS = frozenset(
    {"GAN_ADDRESS", "GAN_IMAGE", "GAN_MEMORY", "GAN_PUBLISHED_PORT", "GAN_CLIENT_KEY", "GAN_CLIENT_URL"}
)
"""Variables that Compose and gan-client read from the same environment."""

BatchSize = Annotated[int, Field(ge=1, le=1024)]
Origin = Annotated[str, Field(pattern=r"^(\*|https?://[^/?#\s]+)$")]


class Settings(BaseSettings):
    """Serve exported generators over HTTP. `gan-serve keys --help` says how API keys are made."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        use_attribute_docstrings=True,
        extra="forbid",
        frozen=True,
        cli_prog_name="gan-serve",
        cli_kebab_case=True,
        cli_implicit_flags=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 means all addresses."""
    port: int = Field(8000, ge=0, le=65535)
    """Port to listen on; 0 means any free port."""
    management_port: int | None = Field(None, ge=0, le=65535)
    """Port of its own for /metrics, /healthz/* and /v2/repository/*; when unset, the main port serves the first two."""
    models: Path = BUNDLED_MODELS
    """Folder of published models, <name>/<version>/model.onnx with its card.json; by default the bundled ones."""
    watch_models: Literal["events", "poll", "off"] = "events"
    """How changes in the models folder are noticed while the service runs: 'events' asks the system, 'poll' looks
    every two seconds, for network volumes, and with 'off' only SIGHUP and requests to the management port count."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Where models run: 'cuda' requires a working GPU; 'auto' falls back to the CPU, with a warning."""
    threads: int = Field(0, ge=0)
    """Batches that run at the same time on the CPU, in a thread each; 0 means the number of usable cores."""
    batch_sizes: Annotated[tuple[BatchSize, ...], NoDecode] = Field((1, 2, 4, 8, 16, 32, 64), min_length=1)
    """Batch sizes on a GPU, each prepared at load. The largest also limits batches of digits on the CPU."""
    batch_pictures: PositiveInt | None = None
    """Largest batch of images, counted as 256x256; when unset, 16 on a GPU and 1 on the CPU."""
    cuda_graphs: bool = True
    """Replay batches of the usual shape as CUDA graphs."""
    cuda_tf32: bool = True
    """Let a GPU multiply in TF32, which is faster and changes pixels by at most one grey level."""
    cuda_fp16: bool = True
    """Let a GPU run a model's half-precision file, if it has one. The CPU always runs fp32."""
    cuda_conv_search: Literal["heuristic", "exhaustive", "default"] = "heuristic"
    """How cuDNN chooses its convolution algorithms; 'exhaustive' times all of them for every new shape."""
    cuda_memory_bytes: int = Field(0, ge=0)
    """GPU memory that each session may use for its tensors; 0 means no limit."""
    queue_size: int = Field(256, ge=1)
    """Largest number of requests in a model's queue; further requests get 503 with Retry-After."""
    timeout_seconds: float = Field(30.0, gt=0, le=86_400)
    """Time limit of a request, for its body (408) and its result (504); X-Request-Timeout can shorten it."""
    body_bytes: int = Field(32 * 2**20, ge=1)
    """Largest request body (413), in bytes."""
    image_pixels: int = Field(52_000_000, ge=1)
    """Largest uploaded image (413), in pixels; a bound on memory, about 8 bytes a pixel."""
    model_pixels: int = Field(2_000_000, ge=64 * 64)
    """Largest image inside a model (422), in pixels; limits size=native, except of models that take tiles."""
    root_path: str = Field("", pattern=r"^(/[A-Za-z0-9._~-]+)*$")
    """Path prefix that a proxy leaves in front of every path, for example /gan; unset where the proxy takes it off."""
    cors_origins: Annotated[tuple[Origin, ...], NoDecode] = ()
    """Origins whose pages may call the service from a browser, for example https://app.example.org, or *; by default
    none but its own."""
    keys: Path | None = None
    """File of names and hashed API keys, which `gan-serve keys add NAME` writes; when set, requests need a key (401).
    It is read again when it changes."""
    open_without_key: Annotated[tuple[Literal["docs", "metrics"], ...], NoDecode] = ("docs",)
    """What needs no key: 'docs' are the page, /docs and /openapi.json, 'metrics' is /metrics of the main port. Probes
    never need one."""
    rate_limit: str | None = Field(None, pattern=r"^[1-9][0-9]{0,8}/(second|minute|hour|day)$")
    """Images that a client may ask for in a period (429), for example 600/minute; by default any number. A client is a
    name of the keys, or an address where there are no keys."""
    shutdown_seconds: int = Field(25, ge=0)
    """Time that accepted requests get to finish after SIGTERM."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is logged."""
    log_format: Literal["text", "json"] = "text"
    """'json' logs an object per line, and a line per request; 'text' is for people."""

    @field_validator("open_without_key", mode="before")
    @classmethod
    def _split_or_none(cls, items: object) -> object:
        return cls._split(items) if items else ()

    @field_validator("batch_sizes", "cors_origins", mode="before")
    @classmethod
    def _split(cls, items: object) -> object:
        return [item.strip() for item in items.split(",")] if isinstance(items, str) else items

    @field_validator("management_port")
    @classmethod
    def _differ(cls, port: int | None, info: ValidationInfo) -> int | None:
        if port and port == info.data.get("port"):
            raise PydanticCustomError("taken", "it is also the main port: choose another one, or leave it unset")
        return port


def mistyped(environment: Iterable[str]) -> dict[str, str]:
    """Returns the variables that look like settings and are none, each with the setting whose name is nearest."""
    known = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    names = (name for name in environment if name.upper().startswith(PREFIX))
    return {name: nearest(name.upper(), known) for name in names if name.upper() not in {*known, *NOT_OURS}}
