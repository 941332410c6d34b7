"""The JSON of the protocol's requests and responses."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator

from service.api.v2.signature import Datatype

MAX_TENSORS = 8
"""Most inputs, outputs, axes or parameters of a request; no model has as many."""

Size = Annotated[StrictInt, Field(ge=-1, lt=2**63)]
Text = Annotated[str, Field(max_length=1000)]


class _Part(BaseModel):
    """A part of a request. A member that is not known is refused: the client expects something of it."""

    model_config = ConfigDict(
        use_attribute_docstrings=True, extra="allow", json_schema_extra={"additionalProperties": False}
    )

    @model_validator(mode="after")
    def _refuse_others(self) -> Self:
        """Names one member only: pydantic's own check keeps an error for each of millions."""
        for name in self.model_extra or ():
            raise ValueError(
                f"{name[:40]!r} is not supported here; the members are {', '.join(type(self).model_fields)}"
            )
        return self


class _Document(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class InputParameters(_Part):
    """Parameters of an input."""

    binary_data_size: Size | None = Field(None, ge=0)
    """Bytes of the tensor behind the JSON, if its elements are not in `data`."""


class RequestInput(_Part):
    """An input tensor."""

    name: Text
    """Name, from the model's metadata."""
    shape: list[Size] = Field(max_length=MAX_TENSORS)
    """Axes."""
    datatype: Datatype
    """Element type, from the model's metadata."""
    parameters: InputParameters = InputParameters()
    """Where the elements are."""
    data: Any = None
    """The elements, flat or nested by the shape; byte strings in base64."""


class OutputParameters(_Part):
    """Parameters of a requested output."""

    binary_data: StrictBool | None = None
    """Whether the elements come as bytes behind the JSON of the response; by default as `binary_data_output` says."""


class RequestOutput(_Part):
    """An output that the response shall have."""

    name: Text
    """Name, from the model's metadata."""
    parameters: OutputParameters = OutputParameters()
    """How the elements come."""


class InferenceRequest(_Document):
    """The JSON of a request. Other members are ignored, such as KServe's `model_name`: the path names the model."""

    id: Text | None = None
    """Comes back in the response."""
    parameters: dict[str, Any] = Field({}, max_length=MAX_TENSORS)
    """binary_data_output, and for translators those of /translate: size, detail, format."""
    inputs: list[RequestInput] = Field(min_length=1, max_length=MAX_TENSORS)
    """The tensors."""
    outputs: list[RequestOutput] = Field([], max_length=MAX_TENSORS)
    """The outputs asked for; by default all."""


class ResponseOutput(_Document):
    """An output tensor."""

    name: str
    """Name, from the model's metadata."""
    datatype: Datatype
    """Element type."""
    shape: list[int]
    """Axes."""
    parameters: dict[str, int | str] = {}
    """`binary_data_size`, if the elements are behind the JSON; `content_type`, if they are files in base64."""
    data: list[Any] | None = None
    """The elements, flat, unless they are behind the JSON."""


class InferenceResponse(_Document):
    """The JSON of a response."""

    model_name: str
    """Name of the model."""
    model_version: str
    """Version of the model."""
    id: str | None = None
    """That of the request, if it had one."""
    outputs: list[ResponseOutput]
    """The output."""


class ErrorResponse(_Document):
    """The response to a request that fails."""

    error: str
    """Explanation for people: what to do."""
    type: str
    """urn:gan:problem:<name>; the names are stable."""


class ServerMetadata(_Document):
    """Response of GET /v2."""

    name: str
    """Name of the service."""
    version: str
    """Version of the service."""
    extensions: list[str]
    """Extensions of the protocol that the service has."""


class Live(_Document):
    """Response of GET /v2/health/live."""

    live: bool
    """Always true; otherwise the response is an error."""


class Ready(_Document):
    """Response of GET /v2/health/ready."""

    ready: bool
    """Always true; otherwise the response is an error."""


class ModelReady(Ready):
    """Response of GET /v2/models/{name}/ready."""

    name: str
    """Name of the model."""


class TensorMetadata(_Document):
    """A tensor of a model."""

    name: str
    """Name in requests and responses."""
    datatype: Datatype
    """Element type."""
    shape: list[int]
    """Axes; -1 stands for a size that the request chooses."""


class ModelMetadata(_Document):
    """Response of GET /v2/models/{name}."""

    name: str
    """Name of the model."""
    versions: list[str]
    """Loaded versions; the last one serves requests that name none."""
    platform: str
    """Format of the model's file."""
    inputs: list[TensorMetadata]
    """Inputs; of the first two a request has one."""
    outputs: list[TensorMetadata]
    """Outputs; each belongs to the input in its place."""
