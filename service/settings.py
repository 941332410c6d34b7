"""Everything that can be set on the service: GAN_ environment variables, or flags of `gan-serve`, which win."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

BUNDLED_MODELS = Path(__file__).resolve().parent.parent / "models"


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
    """Folder of published models, <name>/<version>/model.onnx with its card.json."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Where models run: 'cuda' refuses to start without a working GPU, 'auto' falls back to the CPU and says so."""
    threads: int = Field(0, ge=0)
    """CPU threads of one inference; 0 takes one a core."""
    max_batch: int = Field(64, ge=1, le=1024)
    """Digits that run together at most."""
    batch_pixels: int = Field(16 * 256 * 256, ge=64 * 64)
    """Pixels of the pictures that run together at most; bounds a batch's memory."""
    queue_size: int = Field(256, ge=1)
    """Requests that may wait for one model; further ones are told when to come back (503)."""
    timeout_seconds: float = Field(30.0, gt=0)
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

    @field_validator("management_port")
    @classmethod
    def _apart(cls, port: int | None, info: ValidationInfo) -> int | None:
        if port and port == info.data.get("port"):
            raise PydanticCustomError("taken", "the service itself has this port: choose another, or leave it unset")
        return port
