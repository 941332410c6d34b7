"""Everything that can be set on the service: GAN_ environment variables, or flags of `gan-serve`, which win."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_PACKAGE = Path(__file__).resolve().parent
BUNDLED_MODELS = _PACKAGE / "models" if (_PACKAGE / "models").is_dir() else _PACKAGE.parent / "models"
"""A wheel carries the models inside the package; in a checkout they lie beside it."""

BatchSize = Annotated[int, Field(ge=1, le=1024)]


class Settings(BaseSettings):
    """Serve exported generators over HTTP."""

    model_config = SettingsConfigDict(
        env_prefix="GAN_",
        use_attribute_docstrings=True,
        extra="forbid",
        frozen=True,
        cli_prog_name="gan-serve",
        cli_kebab_case=True,
        cli_implicit_flags=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all."""
    port: int = Field(8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    management_port: int | None = Field(None, ge=0, le=65535)
    """Port for /metrics and /healthz/*, which are then absent from the first; unset, one port serves everything."""
    models: Path = BUNDLED_MODELS
    """Folder of published models, <name>/<version>/model.onnx with its card.json; by default those that come with
    gan-serve: in service/models of an installed wheel, in models/ of a checkout."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Where models run: 'cuda' refuses to start without a working GPU, 'auto' falls back to the CPU and says so."""
    threads: int = Field(0, ge=0)
    """Batches that run at once on the CPU, a thread each; 0 takes as many as there are cores to use."""
    batch_sizes: Annotated[tuple[BatchSize, ...], NoDecode] = Field((1, 2, 4, 8, 16, 32, 64), min_length=1)
    """Sizes of batches on a GPU, which pays for each new one; the largest bounds the digits of a batch anywhere."""
    batch_pictures: PositiveInt | None = None
    """Pictures of 256x256 that run together at most; unset, 16 on a GPU and 1 on the CPU, where more bring nothing."""
    cuda_graphs: bool = True
    """Replay a batch of usual size as one CUDA graph."""
    cuda_tf32: bool = True
    """Let a GPU multiply in TF32: faster, still within one grey level."""
    cuda_fp16: bool = True
    """Let a GPU run a model's half-precision file where it has one; the CPU never does."""
    cuda_conv_search: Literal["heuristic", "exhaustive", "default"] = "heuristic"
    """How cuDNN finds its convolutions; 'exhaustive' times them all, at every new shape."""
    cuda_memory_bytes: int = Field(0, ge=0)
    """GPU memory that each session may take for its tensors; 0 for no limit."""
    queue_size: int = Field(256, ge=1)
    """Requests that may wait for one model; further ones are told when to come back (503)."""
    timeout_seconds: float = Field(30.0, gt=0, le=86_400)
    """Time from a request's arrival to its body (408) and its result (504); X-Request-Timeout asks for less."""
    body_bytes: int = Field(10 * 2**20, ge=1)
    """Largest request body (413)."""
    image_pixels: int = Field(20_000_000, ge=1)
    """Largest uploaded picture, in pixels (413)."""
    model_pixels: int = Field(2_000_000, ge=64 * 64)
    """Largest picture that goes through a model, in pixels; what size=native may ask for (422)."""
    shutdown_seconds: int = Field(25, ge=0)
    """Time that running requests get to finish after SIGTERM."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe message that is logged."""
    log_format: Literal["text", "json"] = "text"
    """'json' writes one object a line and a line a request; 'text' is for people."""

    @field_validator("batch_sizes", mode="before")
    @classmethod
    def _listed(cls, sizes: object) -> object:
        return sizes.split(",") if isinstance(sizes, str) else sizes

    @field_validator("management_port")
    @classmethod
    def _apart(cls, port: int | None, info: ValidationInfo) -> int | None:
        if port and port == info.data.get("port"):
            raise PydanticCustomError("taken", "the service itself has this port: choose another, or leave it unset")
        return port
