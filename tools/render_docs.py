"""Writes the files of docs/ that repeat code, model cards or alert rules: python -m tools.render_docs"""

import json
import re
import sys
from pathlib import Path
from typing import Any, get_args

import yaml
from prometheus_client.metrics import MetricWrapperBase

from service.app import create_app
from service.card import CARD_FILE, HALF_FILE, MODEL_FILE, HalfParity, ModelCard, Score, Training, read_card
from service.images.codecs import MEDIA_TYPES
from service.settings import BUNDLED_MODELS, Settings
from service.telemetry import gpu_metrics
from service.telemetry.metrics import CodecRefusal, FailureReason, Metrics, ModelChange, Outcome
from tools import architecture
from tools.api_changes import breaking_changes
from tools.render_rules import RULES

DOCS = Path(__file__).resolve().parent.parent / "docs"


def settings_page() -> str:
    """docs/operating/settings.md: every setting with its default and its docstring."""
    rows = []
    for name, field in Settings.model_fields.items():
        value = field.default
        written = ",".join(map(str, value)) if isinstance(value, tuple) else value
        default = {BUNDLED_MODELS: "the bundled models", None: "unset", "": "unset", (): "unset"}.get(
            value, f"`{written}`"
        )
        meaning = " ".join(str(field.description).split())
        rows.append(f"| `GAN_{name.upper()}` | `--{name.replace('_', '-')}` | {default} | {meaning} |")
    return "\n".join(
        [
            "# Settings of the service",
            "",
            "Written by `tools/render_docs.py` from `service/settings.py`; a test checks that it is current.",
            "Each setting is an environment variable and a flag of `gan-serve`; the flag wins.",
            "",
            "| variable | flag | default | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


OUTCOMES: dict[Outcome, str] = {
    "ok": "successful response",
    "rejected": "rejected: queue full or its wait too long, memory for bodies in use (503), rate limit reached (429)",
    "cancelled": "the client disconnected, or took nothing for too long, before the response ended",
    "deadline": "timed out (408, 504)",
    "bad_input": "a mistake of the client (any other 4xx)",
    "failed": "a fault of the service (any other 5xx, a truncated response, 503 during shutdown)",
}
REASONS: dict[FailureReason, str] = {
    "out_of_memory": "the memory of the device or of the machine was exhausted",
    "device_lost": "an error after which CUDA no longer works in this process",
    "other": "any other error",
}
REFUSALS: dict[CodecRefusal, str] = {
    "costly": "a file that is made to take long",
    "busy": "too many large images waited (503)",
}
CHANGES: dict[ModelChange, str] = {
    "loaded": "a new or changed version serves",
    "refused": "one that does not work does not",
    "unloaded": "its folder is gone, or a request asked for that",
}
LABELS = {
    "route": "the route's template, such as `/translate/{direction}`; `other` if none matches",
    "outcome": "; ".join(f"`{name}`: {OUTCOMES[name]}" for name in get_args(Outcome)),
    "status": "HTTP status of the response; 499: the client had disconnected",
    "model": "`<name>/<version>`",
    "key": "name of the API key that a request came with; `other` for all names after the first hundred",
    "reason": "; ".join(f"`{name}`: {text}" for name, text in (REASONS | REFUSALS).items()),
    "format": f"`{'`, `'.join(MEDIA_TYPES)}`; for digits also `npy`, `json`",
    "change": "; ".join(f"`{name}`: {CHANGES[name]}" for name in get_args(ModelChange)),
    "lane": "`light`: in the service's own process, takes milliseconds; `heavy`: in a process of its own",
    "device": "NVML's index of the GPU",
    "version": "version of the model, or of the service",
    "task": "`sample` or `translate`",
    "provider": "ONNX Runtime's execution provider that runs the model",
    "precision": "`fp32`, or `fp16` where a GPU runs the model's half-precision file",
    "sha256": "SHA-256 of the loaded file",
    "onnxruntime": "version of ONNX Runtime",
    "python": "version of Python",
}
"""Meaning of each label."""


def metrics_page() -> str:
    """docs/operating/metrics.md: the metrics of an application with their labels."""
    own = [metric for metric in vars(Metrics()).values() if isinstance(metric, MetricWrapperBase)]
    described = [(family, metric._labelnames) for metric in own for family in metric.describe()]
    described += [(family, family._labelnames) for family in gpu_metrics.families()]
    rows: list[str] = []
    for family, labels in described:
        name = family.name + ("_total" if family.type == "counter" else "")
        rows.append(f"| `{name}` | {family.type} | {', '.join(labels)} | {family.documentation} |")
    used = dict.fromkeys(label for _, labels in described for label in labels)
    return "\n".join(
        [
            "# Metrics of the service",
            "",
            "Written by `tools/render_docs.py` from `service/telemetry/metrics.py`; a test checks that it is current.",
            "`GET /metrics` returns them, on `GAN_MANAGEMENT_PORT` if that is set. Times are in seconds.",
            "Probes and scrapes are not counted. GPU metrics are absent where the driver does not respond.",
            "The standard `process_*` and `python_info` metrics are there as well.",
            "",
            "| metric | type | labels | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
            "| label | values |",
            "|---|---|",
            *(f"| {label} | {LABELS[label]} |" for label in used),
            "",
            "The number of series is bounded: no label holds text from clients.",
            "",
        ]
    )


def models_page(models: Path = BUNDLED_MODELS) -> str:
    """docs/fitting/models.md: the cards of the bundled models."""
    lines = [
        "# The bundled models",
        "",
        "Written by `tools/render_docs.py` from the cards in `models/`; a test checks that it is current.",
    ]
    for folder in sorted(card.parent for card in models.glob(f"*/*/{CARD_FILE}")):
        card = read_card(folder)
        lines += ["", *_model_lines(card, (folder / MODEL_FILE).stat().st_size)]
        if card.half:
            lines += ["", _half_line(card.half.parity, (folder / HALF_FILE).stat().st_size)]
    return "\n".join([*lines, ""])


def _model_lines(card: ModelCard, size_bytes: int) -> list[str]:
    config = card.training.config
    kinds = {"sample": "digits", "translate": "pairs of images"}
    crop = f", crops of {config['crop']} px from {config['resize']} px" if "crop" in config else ""
    training, parity = card.training, card.parity
    return [
        f"## {card.name}/{card.version}",
        "",
        f"{size_bytes / 1e6:.1f} MB. Fitted by commit `{training.git_commit[:12]}` on {training.dataset['name']}: "
        f"{_seen(training)} {kinds[card.task]}, batch {config['batch']}, rate {config['rate']:g}{crop}; "
        f"averaged weights (half-life {config['ema_images']:,.0f}). ONNX Runtime and PyTorch differ by at most "
        f"{parity.max_difference} grey level, in {parity.differing_share:.3%} of the pixels.",
        "",
        "| score | value | 95% interval | protocol |",
        "|---|---|---|---|",
        *(f"| {s.metric} | {s.value:.4g} | {_interval(s)} | {s.protocol} |" for s in card.scores),
    ]


def _half_line(parity: HalfParity, size_bytes: int) -> str:
    return (
        f"`{HALF_FILE}`, {size_bytes / 1e6:.1f} MB, is the same in half precision, for CUDA: it differs from PyTorch "
        f"by {parity.mean_difference:.2f} grey levels on average and {parity.max_difference} at most (the limits are "
        f"{parity.mean_tolerance:g} and {parity.max_tolerance}), computed on the CPU with a GPU's roundings. "
        "The scores are those of `model.onnx`."
    )


def _seen(training: Training) -> str:
    runs = [(run["images"], run["config"]) for run in training.history] + [(training.images, training.config)]
    return " and then ".join(f"{images:,}{_moved_on(config)}" for images, config in runs)


def _moved_on(config: dict[str, Any]) -> str:
    factor = config.get("extrapolate")
    return f" (started at {factor:g} times the distance of earlier runs from a published file)" if factor else ""


def _interval(score: Score) -> str:
    return "" if score.low is None or score.high is None else f"{score.low:.4g} to {score.high:.4g}"


def alerts_page() -> str:
    """docs/operating/alerts.md: every alert rule, with the section that says what to do."""
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    lines = [
        "# Runbook",
        "",
        "An alert fires: find its name here, and follow the numbered steps of its section.",
        "",
        "Written by `tools/render_docs.py` from `k8s/components/monitoring/rules.yaml`; a test checks it.",
        "",
        "| alert: what to do | severity | it means | it fires after |",
        "|---|---|---|---|",
    ]
    for rule in (rule for rule in rules if "alert" in rule):
        section = f"[{rule['alert']}](operations.md#{rule['alert'].lower()})"
        summary = re.sub(r"\{\{[^}]*?(\w+) *(\|[^}]*)?\}\}", r"`\1`", rule["annotations"]["summary"])
        lines.append(f"| {section} | {rule['labels']['severity']} | {summary} | {rule.get('for', 'at once')} |")
    return "\n".join([*lines, "", "[How the alerts reach you](operations.md#alerts) is set up once.", ""])


def openapi_document() -> str:
    """docs/openapi.json: the document of a service with the bundled models and default settings."""
    settings = Settings.model_construct(device="cpu")  # reads no environment
    return json.dumps(create_app(settings).openapi(), indent=2, ensure_ascii=False) + "\n"


def refuse_to_break_clients(page: Path, document: str) -> None:
    """Exits if `document` would break clients of the one in `page`."""
    broken = breaking_changes(json.loads(page.read_text()), json.loads(document)) if page.exists() else []
    if broken:
        sys.exit(
            "\n".join(
                [f"{page} stays: clients would break, see docs/calling/http.md. If it must be, delete it.", *broken]
            )
        )


PAGES = {
    "operating/settings.md": settings_page,
    "operating/metrics.md": metrics_page,
    "fitting/models.md": models_page,
    "operating/alerts.md": alerts_page,
    "images/packages.svg": architecture.packages_image,
    "images/service.svg": architecture.service_image,
    "openapi.json": openapi_document,
}

if __name__ == "__main__":
    written = {DOCS / name: render() for name, render in PAGES.items()}
    refuse_to_break_clients(DOCS / "openapi.json", written[DOCS / "openapi.json"])
    for page, text in written.items():
        page.write_text(text)
