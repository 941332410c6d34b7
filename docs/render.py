"""Writes the pages that repeat what the code or the cards say: .venv/bin/python docs/render.py"""

from pathlib import Path

from service.card import CARD_FILE, MODEL_FILE, ModelCard, Score, Training, read_card
from service.settings import BUNDLED_MODELS, Settings

DOCS = Path(__file__).resolve().parent


def settings_page() -> str:
    """docs/settings.md, from the docstrings of the settings."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = {BUNDLED_MODELS: "the repository's `models/`", None: "unset"}.get(field.default, f"`{field.default}`")
        rows.append(f"| `GAN_{name.upper()}` | `--{name.replace('_', '-')}` | {default} | {field.description} |")
    return "\n".join(
        [
            "# Settings of the service",
            "",
            "Written by `docs/render.py` from `service/settings.py`; a test keeps it so.",
            "Each is an environment variable or a flag of `gan-serve`; the flag wins.",
            "",
            "| variable | flag | default | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def models_page(models: Path = BUNDLED_MODELS) -> str:
    """docs/models.md, from the bundled models' cards."""
    lines = ["# The bundled models", "", "Written by `docs/render.py` from the cards in `models/`; a test keeps it so."]
    for folder in sorted(card.parent for card in models.glob(f"*/*/{CARD_FILE}")):
        lines += ["", *_model_lines(read_card(folder), (folder / MODEL_FILE).stat().st_size)]
    return "\n".join([*lines, ""])


def _model_lines(card: ModelCard, size_bytes: int) -> list[str]:
    config = card.training.config
    kinds = {"sample": "digits", "translate": "pairs of pictures"}
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


def _seen(training: Training) -> str:
    runs = [run["images"] for run in training.history] + [training.images]
    return " and then ".join(f"{images:,}" for images in runs)


def _interval(score: Score) -> str:
    return "" if score.low is None or score.high is None else f"{score.low:.4g} to {score.high:.4g}"


PAGES = {"settings.md": settings_page, "models.md": models_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
