"""How callbacks name what frameworks report: dvclive's way, `train/…` and `eval/…` (3.49.1, utils.py)."""

from __future__ import annotations


def of_keras(name: str) -> str:
    """`val_loss` is `eval/loss`, all else is of training."""
    return name.replace("val_", "eval/") if "val_" in name else f"train/{name}"


def of_fastai(name: str) -> str:
    """`train_loss` and `valid_loss`, with a slash."""
    return name.replace("train_", "train/").replace("valid_", "eval/")


def of_huggingface(name: str) -> str:
    """`train_loss` and `eval_loss`, with a slash."""
    return name.replace("train_", "train/").replace("eval_", "eval/")


def of_lightning(name: str) -> str:
    """`train_loss_epoch` is `train/epoch/loss`; without a split in front it stays as it is."""
    parts = name.split("_")
    if not parts[0].endswith(("train", "val", "test")):
        return name
    split = parts.pop(0)
    # Without a split a `step` at the end would stand beside the step of the logger.
    frequency = [parts.pop()] if parts and parts[-1] in {"step", "epoch"} else []
    rest = "_".join(parts)
    return "/".join([split, *frequency, *([rest] if rest else [])])
